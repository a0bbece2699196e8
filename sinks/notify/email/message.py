"""E-mails of incidents by RFC 5322, plain and HTML; the later ones of an incident answer its first one.

The Message-ID is made of the notification's id, so that a mail that is sent again is the same mail.
"""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from html import escape

from schemas.oncall import Facts, Member
from sinks.notify.receiver import News
from sinks.notify.text import clipped, details, headline, member_line, one_line, plain

SUBJECT_LENGTH = 200


def message_of(news: News, sender: Address, recipients: list[Address]) -> EmailMessage:
    """Make the e-mail of news.  A line end in a title cannot start a header of its own."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipients
    message["Subject"] = clipped(headline(news.facts), SUBJECT_LENGTH)
    message["Date"] = formatdate(news.time_ms / 1_000)
    message["Message-ID"] = message_id_of(news, sender)
    if news.ref:
        message["In-Reply-To"] = message["References"] = news.ref
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(plain(news.facts), cte="quoted-printable")
    message.add_alternative(_html(news.facts), subtype="html", cte="quoted-printable")
    return message


def message_id_of(news: News, sender: Address) -> str:
    """Make the Message-ID of news."""
    return f"<{news.notification_id}@{sender.domain}>"


def _html(facts: Facts) -> str:
    rows = "".join(
        f"<tr><th align=left>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in details(facts)
    )
    members = "".join(_member(member) for member in facts.members)
    more = f"<p>and {facts.more} more</p>" if facts.more else ""
    link = f'<p><a href="{escape(facts.link)}">Open the incident</a></p>' if facts.link else ""
    return (
        f"<!doctype html><html><body><h2>{escape(headline(facts))}</h2><table cellpadding=4>{rows}</table>"
        f"{f'<ul>{members}</ul>' if members else ''}{more}{link}</body></html>\n"
    )


def _member(member: Member) -> str:
    comment = f"<br>{escape(one_line(member.comment))}" if member.comment else ""
    return f"<li>{escape(member_line(member))}{comment}</li>"
