"""Spanish."""

from streams.domain.comments.languages.language import Language, stems

SPANISH = Language(
    code="es",
    common=stems("""
        el$, la$, los$, las$, un$, una$, y$, es$, en$, de$, del$, al$, lo$, le$, me$, mi$, mis$, con$, por$, para$,
        que$, no$, muy$, pero$, se$, su$, fue$, ha$, han$, he$, esta$, este$, todo$, ya$, sin$, hay$, aun$, todavia$,
        nada$, ni$, como$, cuando$, bien$
    """),
    negations=stems("no$, ni$, nunca$, sin$, jamas$, ningun$, ninguna$, nada$, tampoco$, falta de, deja de"),
    good=stems("""
        buen, bien$, bueno, excelent, genial, perfect, maravill, fantastic, estupend, increibl, encant, gust, recomend,
        satisf, content, feliz, felic, rapid, puntual, a tiempo, antes de, amable, atent, educad, facil, sencill, comod,
        intuitiv, fiable, confiab, resistent, bonit, preciosa$, precioso$, barat, economic, vale la pena, merece,
        gracias, agradec, agradable, mejor, util$, eficien, eficaz, profesional, impecab, super, correct, cumpl,
        de primera, calidad precio, buena calidad, me encanta, top$, 👍, ❤, 😍, 😊, 👏, 😀
    """),
    bad=stems("""
        mal$, mala$, malo$, malos$, malas$, malisim, pesim, horribl, terribl, fatal, peor, decepc, frustr, enfad,
        molest, insatisf, verguenza, estafa, engan, mentir, fraude, falso$, falsa$, falsific, roto$, rota$, rotos$,
        rotas$, rompi, defect, dana, danad, averi, estrope, rayad, manchad, suci, tarde$, retras, demor, lent, espera,
        esperando, perdid, perdi$, falta$, faltan, faltab, incomplet, equivocad, erron, error, problem, queja, reclam,
        devolu, devolv, reembols, cancel, caro$, cara$, caros$, caras$, car$, abus, antipatic, grosero, maleducad,
        ignor, dificil, complicad, confus, basura, porqueria, inutil, desastre, lamentable, nunca mas, todavia no,
        aun no, sigo esperando, fall, agotad, desgraciad, arrepent, timo$, tima, 😡, 😠, 😞, 😢, 😭, 👎, 😤
    """),
    expected=stems("""
        lleg, recib, entreg, funcion, respond, respuest, respues, contest, conteste, atend, atiend, ayud, solucion,
        resolv, resuelv, avis, inform, contact, envi, vino$, vin, sirv, encaj, carga$, enciend, explic, devuelv, devolv,
        reembols, ha servido, gust
    """),
    themes={
        "delivery": stems("""
            entreg, lleg, envi, envio, paquete, repart, transport, mensajer, correos$, correo argent, plazo, retras,
            tard, a tiempo, puntual, stock$, agotad, embal, caja llego, direccion, seguimiento del envio, faltaba,
            faltan, incomplet, pedido cancel, cancelaron, no he recibid, recibi, recibido, recib, demor, extravi,
            antes de lo previsto, logistic, rapid
        """),
        "quality": stems("""
            calidad$, defect, roto$, rota$, rotos$, rotas$, rompi, danad, estrope, averi, rayad, manchad, material,
            tela$, tejido, acabado, talla, tamano, color, descripcion, foto$, fotos$, falso$, falsific, original,
            funciona bien, no funciona, dejo de funcionar, funcion, resistent, fragil, comod, bonit, preciosa$,
            precioso$, buen producto, producto es, producto muy, gran producto, mal producto, producto equivocad,
            otro producto, producto diferente, bateria, pantalla, sabor, olor, duradero, dura$, duro$,
            articulo equivocad
        """),
        "support": stems("""
            atencion, atend, atiend, soporte, servicio al cliente, servicio tecnico, postventa, post venta, amable,
            personal$, empleado, agente, respond, respuest, contest, contact, llam, telefon, correo electr, email,
            chat$, reembols, devolu, devolv, devuelv, cambio$, cambiar, queja, reclam, solucion, resolv, resuelv,
            garantia, vendedor, inform, avis, comunic, explic, ayud, dinero de vuelta, mi dinero, cancelar, maleducad,
            grosero, antipatic
        """),
        "price": stems("""
            precio$, precios$, caro$, cara$, caros$, caras$, barat, economic, coste, costo$, descuent, oferta, cobr,
            pagu, pagar, pago$, gastos de envio, vale la pena, relacion calidad, calidad precio, dinero$, factur,
            tarifa, cuota, promocion
        """),
        "ease": stems("""
            web$, pagina, app$, aplicacion, facil, sencill, intuitiv, complicad, interfaz, navega, registr, contrasena,
            cuenta$, formulario, instruccion, manual$, montaje, montar, instal, comodidad, hacer el pedido,
            comprar en linea, dificil de usar, usabilidad, sitio
        """),
    },
)  # fmt: skip
