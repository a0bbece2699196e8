"""Portuguese, of Brazil first."""

from streams.domain.comments.languages.language import Language, stems

PORTUGUESE = Language(
    code="pt",
    common=stems("""
        o$, a$, os$, as$, um$, uma$, do$, da$, dos$, das$, ao$, na$, nas$, nos$, em$, com$, e$, eu$, meu$, minha$, que$,
        foi$, nao$, mas$, muito$, muita$, para$, pra$, por$, isso$, ainda$, ja$, mais$, pois$, esta$, voces$, vcs$,
        ate$, so$, tudo$, bem$, sem$, de$, no$, me$, se$, como$, nem$, quando$, seu$, sua$, este$, essa$, esse$, ser$,
        tem$, ter$, minhas$, meus$, pelo$, pela$
    """),
    negations=stems("nao$, nem$, nunca$, sem$, jamais$, nenhum$, nenhuma$, n$, naum$, falta de$, faltou$, deixou de$"),
    good=stems("""
        ador, amei$, amamos$, amo$, gost, recomend, otim, excelen, excepc, maravilh, perfeit, satisf, parabens, bom$,
        boa$, bons$, boas$, bem$, lindo$, linda$, lindos$, lindas$, lindiss, bonit, rapid, rapd, agil, agilidade,
        eficien, confia, qualidade, correta, correto, certinh, certo$, tranquil, facil, feliz, show, top$, nota 10,
        nota dez, super, melhor, barat, vale a pena, valeu, obrigad, agradec, antes do prazo, antes do previsto,
        antes da data, dentro do prazo, no prazo, antecedencia, antecip, pontual, impecav, conform, atendeu, atende$,
        superou, supera, util$, legal$, bacana, honest, seri$, serio$, seria$, caprich, cumpri, funciona perfeit, elogi,
        fantastic, sensacional, incrivel, delicios, cheiros, confortav, resistent, pratic, de primeira, nota 9,
        surpreend, fiel, compraria novamente, comprarei, comprar novamente, voltarei, sempre compro, otm, exelent,
        exelen, execelen, execlen, exclent, excelnt, maravilha, beleza, joia$, mt bom, mto bom,
        👍, ❤, 😍, 😊, 👏, 😀, 😃, 😁
    """),
    bad=stems("""
        pessim, ruim, ruins$, horriv, horror, terriv, decepc, decepic, frustr, insatisf, triste, chatead, raiva, revolt,
        indign, absurd, vergonh, lament, palhac, descaso, desrespeit, falta de respeito, mentir, engan, golpe, fraud,
        falsific, falso$, falsa$, pirat, ladr, roub, atras, demor, lent, defeit, quebr, estrag, danific, rasg, mancha,
        arranh, amass, trinc, furad, avariad, vazou, vazando, errad, erro$, trocad, diferente, faltou, falta$, faltam,
        faltan, faltava, faltad, incomplet, apenas, somente, problem, reclam, procon, process, justica, devol, troca$,
        trocar, cancel, reembols, estorn, extorn, dinheiro, ressarc, car$, caro$, cara$, caros$, dificul, dificil,
        fragil, inferior, paraguai, vagabund, lixo, porcaria, nota 0, nota zero, pior, ainda nao, ate agora, ate hoje,
        ate o momento, aguard, esperando, estou no aguardo, cade$, sumiu, extravi, infelizmente, desist, arrepend,
        nunca mais, prejuizo, prejudic, transtorno, dor de cabeca, desorganiz, desculp, negligen, ineficien, incompet,
        ma qualidade, ma fe, mau$, mal$, mals, baixa qualidade, deixa a desejar, deixou a desejar, desejar, esgotad,
        fora do prazo, passou do prazo, alem do prazo, enrola, estragad, sujo, suja, usado$, nao veio, nao recomend,
        resolv, solucao, providenc, satisfac, urgent, indisponiv, prometid, propaganda, so recebi, so veio, so chegou,
        so entreg, insegur, ridicul, 😡, 😠, 😞, 😢, 😭, 👎, 😤
    """),
    expected=stems("""
        receb, cheg, entreg, veio$, vieram$, veio, respond, respost, funcion, retorn, contato, atend, avis, inform,
        consegui, consig, resolv, liga$, carrega, acende, serv, serviu, encaix, corresp, encontr, apareceu, satisfac,
        posicao, solucao, explicac, devolv, estorn, reembols, pod, compr, tem$, tinha, possui, original, confere, vale$
    """),
    themes={
        "delivery": stems("""
            envio$, envios$, enviar, enviou, enviad, enviam, envia$, nao tinha, nao tinham, nao tem o produto,
            nao tem em, nao havia, cade$, sem estoque, entreg, cheg, receb, receib, recib, prazo, atras, correio,
            transport, frete demor, envi, estoque, extravi, faltou, faltan, faltad, faltam, faltav, falta o$, falta a$,
            falta um, incomplet, embal, embrulh, rastre, endereco, remess, despach, logistic, sedex$, pac$, demora,
            demorou, antes do previsto, rapid, agil, cancelou, cancelad, cancelaram, cancelaram, cancelamento, nao veio,
            nao vieram, veio so$, so veio, veio faltan, veio apenas, veio sem, vieram apenas, vieram so$, so vieram,
            antecedencia, aguardando o produto, esperando o produto, a espera, aguardando a mercadoria, pontual,
            motoboy, entrga, etrega, entraga, extraviad, disponiv, indisponiv, nao mandaram, mandaram so,
            mandaram apenas, retirar, lacrad, quando vem, veio antes, veio rapido
        """),
        "quality": stems("""
            trocad, produto errad, veio errad, vieram errad, modelo errad, item errad, produtos errad, enviaram errad,
            mandaram errad, pedido errad, mandaram o produto errad, entregaram errad, veio outr, vieram outr,
            mandaram outr, enviaram outr, produto bem, muito bom o produto, qualidade, defeit, quebr, estrag, danific,
            rasg, mancha, arranh, amass, trinc, furad, avari, funcion, original, originais, falsific, falso$, falsa$,
            pirat, paraguai, material, tecido, acabament, costura, tamanho, cor$, cores$, modelo, diferente, descri,
            anuncio, anunciad, foto$, fotos$, bonit, lind, perfum, cheir, resisten, fragil, confort, durabil, durav,
            bom produto, boa qualidade, otimo produto, produto otimo, produto muito bom, produto bom, produto e bom,
            produto excelente, excelente produto, produto de boa, produto e otimo, produto maravilh,
            maravilhoso produto, produto perfeito, produto lindo, produto muito, produto e muito, produto de qualidade,
            produto e de, produto super, produto ruim, produto inferior, produto pessimo, pessimo produto,
            produto e pessimo, produto e excelente, produto top, produto como, conforme o anunc, conforme anunc,
            conforme descr, como esperado, como esperava, como eu queria, adorei o produto, amei o produto,
            gostei do produto, gostei muito do produto, adorei o meu, adorei meu, correspond, encaix, serviu, vazou,
            vazando, potente, pratic, util$, leve$, frac, fino$, fina$, apert, pequen, descascad, enferruj, desbot,
            parou, nao liga, nao carrega, nao acende, superou as expectativas, atendeu as expectativas, produto otim,
            produto show, produto veio errad, otima qualidade, vagabund, usado$, sujo, barulh, confere, som$, atende as,
            atendeu as, atendeu minhas, resistente, bateria, tela$, tamanh
        """),
        "support": stems("""
            atendim, atend, contato, contat, respost, respond, retorno, reembols, estorn, extorn, ressarc, devol,
            dinheiro de volta, meu dinheiro, troca$, trocar, reclam, procon, sac$, chat$, email, e mail, mails$,
            telefon, ligar$, liguei, ligo$, resolv, solucion, solucao, suporte, pos venda, vendedor, satisfac, posicao,
            posicion, posiciona, inform, avis, explicac, explica, esclarec, comunic, providenc, solicit, pedi o cancel,
            pedi cancel, cancelar, cancelei, descaso, garantia, assisten, justica, processo, processar, ouvidoria,
            protocolo, notific, dinheiro, orienta, auxili, ajud, desrespeit, como faco, como fazer, falar com
        """),
        "price": stems("""
            preco, caro$, cara$, caros$, caras$, barat, promoc, descont, custo$, frete$, cobr, desconto, custa, custou,
            oferta, gratis, economi, vale a pena, reais$, taxa
        """),
        "ease": stems("""
            site muito, site ruim, site pessim, site confus, site facil, site lent, site e$, site otimo, site bom,
            site nao, site sem, pelo site nao, navegar, app$, aplicativo, facil, facilidade, plataforma, acompanh,
            pagina, cadastro, instruc, manual$, montagem, montar, instal, compra facil, sem embarac, pratic de compr,
            burocra, navegac, complicad, intuitiv
        """),
    },
)  # fmt: skip
