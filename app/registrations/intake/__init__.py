"""Intake: judges submitted registrations as a batch and inserts those that are accepted.

The JSON API and uploads both end here.
"""
