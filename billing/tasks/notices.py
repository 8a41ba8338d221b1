"""Sweeps of the mail: find what customers must be mailed about, and send it."""

from celery import shared_task

from billing.notices.expiring_lots import notify_expiring_lots
from billing.notices.findings import mail_findings
from billing.notices.low_balance import notify_low_balances
from billing.notices.monthly_summaries import notify_monthly_summaries
from billing.notices.outbox import send_due_notices
from billing.notices.spend_spikes import notify_spend_spikes
from billing.notices.status.news import write_incident_mails
from billing.notices.webhook import post_findings


@shared_task(name="billing.send_notices", ignore_result=True)
def send_notices() -> int:
    """Send the mails that are due. Returns how many were tried."""
    return send_due_notices()


@shared_task(name="billing.find_low_balances", ignore_result=True)
def find_low_balances() -> int:
    """Mail customers whose balance fell below their threshold. Returns how many."""
    return notify_low_balances()


@shared_task(name="billing.find_expiring_lots", ignore_result=True)
def find_expiring_lots() -> int:
    """Mail customers about credits that expire soon. Returns how many lots were found."""
    return notify_expiring_lots()


@shared_task(name="billing.mail_findings", ignore_result=True)
def mail_staff() -> int:
    """Mail staff about urgent findings. Returns how many."""
    return mail_findings()


@shared_task(name="billing.post_findings", ignore_result=True)
def post_to_program() -> int:
    """Post urgent findings to the operator's program. Returns how many it took."""
    return post_findings()


@shared_task(name="billing.find_spend_spikes", ignore_result=True)
def find_spend_spikes() -> int:
    """Mail about keys whose spending leapt. Returns how many were found."""
    return notify_spend_spikes()


@shared_task(name="billing.sum_up_months", ignore_result=True)
def sum_up_months() -> int:
    """Write down the summaries of a month that has just ended. Returns how many."""
    return notify_monthly_summaries()


@shared_task(name="billing.write_incident_mails", ignore_result=True)
def mail_incidents() -> int:
    """Write down mails of what staff said of incidents. Returns how many."""
    return write_incident_mails()
