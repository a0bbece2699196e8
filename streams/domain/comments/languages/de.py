"""German."""

from streams.domain.comments.languages.language import Language, stems

GERMAN = Language(
    code="de",
    common=stems("""
        der$, die$, das$, den$, dem$, des$, ein$, eine$, einen$, und$, ist$, war$, waren$, ich$, wir$, mein$, meine$,
        es$, sie$, mit$, von$, fur$, nicht$, kein$, keine$, aber$, sehr$, zu$, zum$, zur$, auf$, im$, am$, bei$, auch$,
        noch$, nach$, wurde$, hat$, haben$, habe$, so$, alles$, immer$, wie$, man$
    """),
    negations=stems("""
        nicht$, kein$, keine$, keinen$, keiner$, keinerlei$, nie$, niemals$, ohne$, nichts$, niemand$, weder$,
        noch nicht, kaum$
    """),
    good=stems("""
        gut$, gute$, guter$, gutes$, guten$, toll, super$, sehr gut, prima$, klasse$, perfekt, hervorragend,
        ausgezeichnet, exzellent, wunderbar, fantastisch, grossartig, spitze, begeister, zufrieden, freu, gefall,
        gefallt, liebe$, empfehl, empfehlenswert, schnell, zugig, punktlich, rechtzeitig, fruher als, freundlich,
        hilfsbereit, nett$, nette$, netter$, kompetent, hoflich, einfach, leicht, unkompliziert, reibungslos,
        problemlos, ubersichtlich, intuitiv, zuverlassig, robust, stabil, bequem, schon$, schone$, schones$, gunstig,
        preiswert, fair$, faire$, lohnt, danke, dank$, bestens, beste$, besten$, besser, nutzlich, einwandfrei,
        tadellos, top$, hochwertig, wie beschrieben, gerne wieder, 👍, ❤, 😍, 😊, 👏, 😀
    """),
    bad=stems("""
        schlecht, furchtbar, schrecklich, grauenhaft, katastroph, mangelhaft, miserabel, enttausch, argerlich, arger,
        frust, unzufrieden, verargert, wutend, unverschamt, frech, betrug, abzocke, luge, gelogen, falschung, gefalscht,
        kaputt, defekt, beschadig, zerbroch, zerkratzt, kratzer, gerissen, fleck, schmutzig, undicht, verspat, zu spat,
        spat$, verzoger, langsam, warte, gewartet, verloren, fehlt, fehlen, fehlend, falsch, unvollstandig, problem$,
        probleme$, problemen$, fehler, beschwer, reklam, ruckerstatt, erstattung, zurucksch, ruckgabe, storn, teuer,
        uberteuert, unfreundlich, inkompetent, ignorier, schwierig, kompliziert, umstandlich, unubersichtlich, absturz,
        sturzt ab, schrott, mull, billig, minderwertig, nie wieder, leider, schade, bereu, vergeblich, zumutung,
        unbrauchbar, nutzlos, finger weg, wucher, 😡, 😠, 😞, 😢, 😭, 👎, 😤
    """),
    expected=stems("""
        ankam$, angekommen, ankomm, erhalt, bekomm, gelief, geliefert, lieferung, funktion, antwort, reagier, reaktion,
        geholfen, hilfe$, hilf, gelost, losung, erreich, melde, gemeldet, passt$, passen$, ladt$, geht$, informier,
        erklar, halt$, verschickt, gesendet, zugestellt
    """),
    themes={
        "delivery": stems("""
            liefer, gelief, geliefert, zustell, zugestell, paket, versand, verschickt, versend, angekommen, ankam$,
            ankunft, spedition, postbot, post$, bote$, punktlich, rechtzeitig, verspat, zu spat, verzoger, verpack,
            verpackung, lager$, ausverkauft, nicht vorratig, unvollstandig, fehlt, fehlte, fehlen, sendung, adresse$,
            bestellung storniert, nicht erhalten, erhalten habe ich, nie erhalten, nicht bekommen, kam schnell, kam an,
            kam zu, ware kam
        """),
        "quality": stems("""
            qualitat, defekt, kaputt, beschadig, zerbroch, zerkratzt, kratzer, gerissen, fleck, material, stoff$,
            verarbeit, grosse$, grossen$, farbe, beschreib, beschrieben, foto, bild$, bilder$, falschung, gefalscht,
            original, funktionier, robust, stabil, haltbar, bequem, schones produkt, produkt ist, gutes produkt,
            tolles produkt, schlechtes produkt, falsches produkt, falscher artikel, falschen artikel, artikel ist,
            ware ist, minderwertig, hochwertig, akku, bildschirm, geschmack, geruch, passt$, passform, schrott, undicht
        """),
        "support": stems("""
            kundenservice, kundendienst, kundenbetreu, service$, support$, mitarbeiter, berat, hotline, freundlich,
            unfreundlich, hilfsbereit, kompetent, inkompetent, antwort, reagier, reaktion, ruckmeld, kontakt, anruf,
            angerufen, telefon, mail$, mails$, email, chat$, erstatt, ruckerstatt, retour, rucksend, zuruckgeschick,
            zurucksch, ruckgabe, umtausch, umgetauscht, reklam, beschwer, gelost, losung, garantie, gewahrleist,
            verkaufer, handler, informier, kommunik, erklar, geholfen, geld zuruck, stornier
        """),
        "price": stems("""
            preis, teuer, uberteuert, billig, gunstig, preiswert, kosten$, kostet, kostenlos, gebuhr, rabatt, gutschein,
            angebot, geld$, bezahl, zahlung, rechnung, abgebucht, preis leist, lohnt sich, versandkosten, euro$, abo$,
            sparen$, wucher, abzocke
        """),
        "ease": stems("""
            webseite, website, homepage, seite$, app$, einfach zu, einfache, einfacher, bedien, benutzerfreundlich,
            ubersichtlich, unubersichtlich, intuitiv, kompliziert, umstandlich, unkompliziert, navigation, anmeld,
            login$, passwort, konto$, formular, anleitung, aufbau, aufgebaut, montage, install, absturz, sturzt ab,
            bestellvorgang, bestellprozess, bestellen war, handhab, onlineshop
        """),
    },
)  # fmt: skip
