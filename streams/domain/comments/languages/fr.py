"""French."""

from streams.domain.comments.languages.language import Language, stems

FRENCH = Language(
    code="fr",
    common=stems("""
        le$, la$, les$, un$, une$, des$, du$, de$, et$, est$, c$, j$, je$, l$, d$, qu$, n$, ne$, pas$, ma$, mon$, mes$,
        tres$, mais$, pour$, avec$, dans$, au$, aux$, ce$, cette$, il$, elle$, nous$, vous$, ete$, ai$, a$, sont$,
        etait$, tout$, plus$, sur$, que$, qui$, en$
    """),
    negations=stems("pas$, ne$, n$, jamais$, sans$, aucun$, aucune$, ni$, rien$, plus de, personne$, manque de"),
    good=stems("""
        bon$, bonne$, bons$, bonnes$, bien$, excellent, super$, genial, parfait, magnifi, formidabl, fantasti, merveill,
        impeccabl, top$, ador, aime, aimer, content, satisf, ravi$, ravie$, heureu, recommand, rapid, vite$, ponctuel,
        a temps, dans les temps, en avance, aimable, gentil, sympa, serviable, accueillant, poli$, facil, simple$,
        intuiti, pratique, fiable, solide, confortabl, beau$, belle$, joli, pas cher, bon marche, abordabl, vaut le,
        merci, mieux, meilleur, utile, efficac, professionnel, conforme, agreable, comme prevu, bravo, reactif, reactiv,
        👍, ❤, 😍, 😊, 👏, 😀
    """),
    bad=stems("""
        mauvais, mal$, nul$, nulle$, horribl, terribl, affreu, pire$, catastroph, decev, decu$, decue$, deception,
        frustr, enerv, agac, insatisf, mecontent, honte, honteu, arnaqu, mensong, menti, fraud, faux$, fausse$,
        contrefa, casse, brise, defectu, defaut, abime, endommag, raye, tache, sale$, dechir, retard, lent$, lente$,
        lenteur, attend, attente, perdu, manqu, incomplet, erreur, errone, trompe, probleme, souci$, soucis$, plainte,
        reclam, rembours, retour, renvo, annul, cher$, chere$, chers$, trop cher, hors de prix, impoli, desagreabl,
        ignor, difficil, complique, confus, bug$, bugs$, plante, inutile, dommage, jamais plus, plus jamais,
        toujours pas, toujours rien, malheureusement, regret, inadmissibl, inaccept, scandal, fuyez, eviter, en panne,
        rupture, poubelle, 😡, 😠, 😞, 😢, 😭, 👎, 😤
    """),
    expected=stems("""
        recu$, recue$, recus$, recevoir, arriv, livr, fonctionn, march, repon, repond, contact, aide, aid, resol,
        resolu, prevenu, inform, envoy, expedi, rembours, solution, explic, expliqu, charge$, allum, correspond, tient$,
        reponse, nouvelle$, nouvelles$
    """),
    themes={
        "delivery": stems("""
            livr, colis, expedi, transport, arriv, retard, delai, a temps, dans les temps, en avance, emball, rupture,
            stock$, facteur, coursier, la poste$, recu$, recue$, recus$, reception, manquant, manquai, il manque,
            incomplet, adresse$, suivi du colis, commande annul, annule ma, rapid
        """),
        "quality": stems("""
            qualite$, defectu, defaut, casse, abime, endommag, raye, tache, dechir, materia, matiere, tissu, finition,
            taille, couleur, description, photo, contrefa, faux$, original, fonctionn, marche plus, marche pas,
            marche bien, en panne, solide, solidit, fragil, confort, beau$, belle$, joli, bon produit, produit est,
            produit tres, super produit, excellent produit, mauvais produit, mauvais article, autre produit, conforme,
            batterie, ecran, gout$, odeur, tient bien, durable, l article est
        """),
        "support": stems("""
            service client, sav$, apres vente, support$, conseill, personnel, employe, equipe, aimable, accueil, gentil,
            serviable, repon, repond, reponse, contact, appel, telephon, mail$, mails$, email, courriel, chat$,
            rembours, retour$, retourner, renvoyer, echange, reclam, plainte, resol, resolu, solution, garantie,
            vendeur, inform, prevenu, communic, expliqu, reactif, reactiv, annuler, impoli, desagreabl
        """),
        "price": stems("""
            prix$, cher$, chere$, chers$, tarif, cout, couteu, bon marche, abordabl, reduction, promo, remise, frais,
            argent$, paye, payer$, paiement refus, factur, qualite prix, gratuit, euros$, abonnement, economi
        """),
        "ease": stems("""
            site$, appli$, application, facil, simple$, simplicit, intuiti, complique, interface, naviga, connexion,
            mot de passe, compte$, formulaire, notice, instruction, mode d emploi, montage, monter, install, bug$,
            bugs$, plante, ergonom, commander en, passer commande, commande en ligne, difficile a utiliser,
            prise en main
        """),
    },
)  # fmt: skip
