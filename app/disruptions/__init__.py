"""Disruptions: reports of registered addresses that are blocked all the same, and incidents of many of them."""
