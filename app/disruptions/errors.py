"""Errors of disruption reports."""

from app.core.errors import Conflict


class DisruptionLimit(Conflict):
    """Too many reports of the reporter are open, or were sent within a day."""

    code = "disruption_limit"
    title = "Too many disruption reports"
    remedy = "Wait for the operators' findings on the open reports, or for tomorrow."


class ReportState(Conflict):
    """The report is not in a state that allows the change."""

    code = "report_state"
    title = "The report is not in a state for this"
    remedy = (
        "Read the report: an open one can be acknowledged and closed by a finding, and a closed one can be opened "
        "again within 72 hours. For an answered one, send a new report."
    )
