"""What the collector's page says, in every language that it speaks, and which language to speak."""

from typing import NamedTuple


class Texts(NamedTuple):
    """The sentences of one language; `{score}` is replaced."""

    language: str
    question: str
    lowest: str
    highest: str
    thanks: str
    scored: str
    reason: str
    send: str
    change: str
    done: str
    closed: str
    closed_more: str
    wait: str
    wait_more: str
    again: str
    again_more: str


_ALL = (
    Texts(
        "en",
        "How likely are you to recommend us to a friend or colleague?",
        "Not at all likely",
        "Extremely likely",
        "Thank you for your answer",
        "You chose {score} out of 10.",
        "What is the main reason for your score?",
        "Send",
        "Change your score",
        "Thank you for your comment. You can close this page.",
        "This link no longer works",
        "It is incomplete, or the survey has ended. Thank you for taking the time.",
        "A moment, please",
        "There were too many requests. Please try again in a minute.",
        "Your answer has not arrived yet",
        "Something went wrong on our side. Please try again in a minute.",
    ),
    Texts(
        "de",
        "Wie wahrscheinlich ist es, dass Sie uns Freunden oder Kollegen empfehlen?",
        "Sehr unwahrscheinlich",
        "Sehr wahrscheinlich",
        "Danke für Ihre Antwort",
        "Sie haben {score} von 10 gewählt.",
        "Was ist der wichtigste Grund für Ihre Bewertung?",
        "Senden",
        "Bewertung ändern",
        "Danke für Ihren Kommentar. Sie können diese Seite schließen.",
        "Dieser Link gilt nicht mehr",
        "Er ist unvollständig, oder die Umfrage ist beendet. Danke, dass Sie sich Zeit genommen haben.",
        "Einen Moment bitte",
        "Es gab zu viele Anfragen. Bitte versuchen Sie es in einer Minute noch einmal.",
        "Ihre Antwort ist noch nicht angekommen",
        "Bei uns ist etwas schiefgegangen. Bitte versuchen Sie es in einer Minute noch einmal.",
    ),
    Texts(
        "fr",
        "Quelle est la probabilité que vous nous recommandiez à un ami ou à un collègue ?",
        "Pas du tout probable",
        "Très probable",
        "Merci pour votre réponse",
        "Vous avez choisi {score} sur 10.",
        "Quelle est la raison principale de votre note ?",
        "Envoyer",
        "Modifier votre note",
        "Merci pour votre commentaire. Vous pouvez fermer cette page.",
        "Ce lien n'est plus valable",
        "Il est incomplet, ou l'enquête est terminée. Merci d'avoir pris le temps de répondre.",
        "Un instant, s'il vous plaît",
        "Il y a eu trop de demandes. Veuillez réessayer dans une minute.",
        "Votre réponse n'est pas encore arrivée",
        "Un problème est survenu de notre côté. Veuillez réessayer dans une minute.",
    ),
    Texts(
        "es",
        "¿Qué probabilidad hay de que nos recomiende a un amigo o colega?",
        "Nada probable",
        "Muy probable",
        "Gracias por su respuesta",
        "Ha elegido {score} de 10.",
        "¿Cuál es el motivo principal de su puntuación?",
        "Enviar",
        "Cambiar su puntuación",
        "Gracias por su comentario. Ya puede cerrar esta página.",
        "Este enlace ya no funciona",
        "Está incompleto o la encuesta ha terminado. Gracias por su tiempo.",
        "Un momento, por favor",
        "Ha habido demasiadas solicitudes. Inténtelo de nuevo dentro de un minuto.",
        "Su respuesta todavía no ha llegado",
        "Algo ha fallado por nuestra parte. Inténtelo de nuevo dentro de un minuto.",
    ),
    Texts(
        "pt",
        "Qual é a probabilidade de nos recomendar a um amigo ou colega?",
        "Nada provável",
        "Muito provável",
        "Obrigado pela sua resposta",
        "Escolheu {score} em 10.",
        "Qual é o principal motivo da sua nota?",
        "Enviar",
        "Alterar a sua nota",
        "Obrigado pelo seu comentário. Já pode fechar esta página.",
        "Este link já não funciona",
        "Está incompleto ou a pesquisa terminou. Obrigado pelo seu tempo.",
        "Um momento, por favor",
        "Houve pedidos demais. Tente novamente dentro de um minuto.",
        "A sua resposta ainda não chegou",
        "Algo correu mal do nosso lado. Tente novamente dentro de um minuto.",
    ),
)

TEXTS: dict[str, Texts] = {texts.language: texts for texts in _ALL}


def chosen(locale: str, accept_language: str) -> Texts:
    """The survey's locale if we speak its language, else the first that the browser accepts, else English."""
    for tag in (locale, *_accepted(accept_language)):
        if found := TEXTS.get(tag.replace("_", "-").partition("-")[0].strip().lower()):
            return found
    return TEXTS["en"]


def _accepted(header: str) -> list[str]:
    """Language tags, most wanted first (RFC 9110, section 12.5.4)."""
    wanted = []
    for place, part in enumerate(header[:500].split(",")):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            quality = 0.0
        wanted.append((-quality, place, tag.strip()))
    return [tag for quality, _, tag in sorted(wanted) if quality < 0]
