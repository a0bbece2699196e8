"""Sender of e-mails by SMTP, with STARTTLS, TLS or neither."""

import smtplib
from email.errors import HeaderParseError
from email.headerregistry import Address

from schemas import http
from schemas.errors import BadInput
from sinks.notify.configuration import ReceiverConfig
from sinks.notify.email.message import message_id_of, message_of
from sinks.notify.http_post import shortened
from sinks.notify.notifier import DeliveryError, GiveUp, TryLater
from sinks.notify.receiver import Doubt, InDoubt, News, Receipt

SECURITY = ("starttls", "tls", "none")
PORTS = {"starttls": 587, "tls": 465, "none": 25}
TIMEOUT_S = 20.0


class EmailReceiver:
    """Recipients of e-mails through one SMTP server.  Raises BadInput for options that do not go together."""

    doubt = Doubt.REPEAT
    per_minute = 60

    def __init__(self, config: ReceiverConfig) -> None:
        self._host = config.text("host", None)
        self._security = config.one_of("security", SECURITY)
        self._port = config.number("port", PORTS[self._security])
        self._sender = _address(config, "from", config.text("from", None))
        self._recipients = [_address(config, "to", text) for text in config.texts("to")]
        self._user, self._password = config.secret("username", ""), config.secret("password", "")
        if self._user and self._security == "none":
            raise BadInput(f"{config.place('security')} must be starttls or tls with a password: none shows it to all")
        try:
            self._tls = http.tls_context(config.text("ca"))
        except ValueError as error:
            raise BadInput(f"{config.place('ca')}: {error}") from None

    def send(self, news: News) -> Receipt:
        """Send an e-mail of these news; it is delivered when the server takes it for one recipient or more."""
        message = message_of(news, self._sender, self._recipients)
        is_handed_over = False
        try:
            with self._connected() as server:
                is_handed_over = True
                refused = server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _of_code(max(codes), f"{self._host} takes none of the recipients: {max(codes)}") from None
        except smtplib.SMTPResponseException as error:
            raise _of_code(error.smtp_code, f"{self._host} answered {error.smtp_code} {_said(error)}") from None
        except (OSError, ValueError) as error:
            raise self._judged(error, is_handed_over) from None
        taken = len(self._recipients) - len(refused)
        said = f"taken for {taken} of {len(self._recipients)} recipients"
        return Receipt(said, news.ref or message_id_of(news, self._sender))

    def find(self, news: News) -> Receipt | None:
        """Find nothing: an e-mail sent again bears the same Message-ID."""
        return None

    def _judged(self, error: Exception, is_handed_over: bool) -> DeliveryError:
        """Tell a broken connection, which may pass, from what the server or our mail is not capable of."""
        is_ours = isinstance(error, ValueError | smtplib.SMTPException)  # the latter is an OSError too
        if is_ours and not isinstance(error, smtplib.SMTPServerDisconnected):
            return GiveUp(f"{self._host} cannot be sent this: {type(error).__name__}")
        said = f"{self._host} does not answer: {http.tls_trouble(error) or type(error).__name__}"
        return InDoubt(said) if is_handed_over else TryLater(said)

    def _connected(self) -> smtplib.SMTP:
        server = self._opened()
        try:
            if self._security == "starttls":
                server.starttls(context=self._tls)
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _opened(self) -> smtplib.SMTP:
        if self._security == "tls":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_S, context=self._tls)
        return smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S)


def _of_code(code: int, said: str) -> TryLater | GiveUp:
    """Error of a reply code: 4xx may pass, 5xx does not."""
    return TryLater(said) if code < 500 else GiveUp(said)


def _said(error: smtplib.SMTPResponseException) -> str:
    said = error.smtp_error
    return shortened(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))


def _address(config: ReceiverConfig, option: str, text: str) -> Address:
    try:
        found = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError):
        raise BadInput(f"{config.place(option)} must be an address such as oncall@example.com, not {text!r}") from None
    if not found.username or ("." not in found.domain and found.domain != "localhost"):
        raise BadInput(f"{config.place(option)} must be an address such as oncall@example.com, not {text!r}")
    return found
