"""English."""

from streams.domain.comments.languages.language import Language, stems

ENGLISH = Language(
    code="en",
    common=stems("""
        the$, and$, is$, was$, were$, it$, i$, my$, we$, our$, this$, that$, of$, to$, with$, for$, have$, has$, had$,
        not$, but$, very$, you$, your$, they$, are$, be$, been$, at$, from$, so$, all$, no$, would$, will$, after$,
        too$, an$
    """),
    negations=stems("""
        not$, no$, never$, without$, isn$, wasn$, don$, doesn$, didn$, won$, wouldn$, couldn$, can$ t$, cannot$, aren$,
        weren$, haven$, hasn$, nothing$, nobody$, hardly$, barely$, neither$, nor$, dont$, didnt$, doesnt$, wont$,
        wasnt$, cant$, lack
    """),
    good=stems("""
        good$, great, excellent, love, lovely, amazing, awesome, perfect, wonderful, fantastic, superb, brilliant,
        outstanding, best$, better$, happy, happi, pleas, satisf, recommend, fast$, faster$, quick, prompt, early$,
        on time, in time, friendly, helpful, kind$, polite, easy, easil, simple, smooth, intuitive, reliab, sturdy,
        durable, comfort, beautiful, nice, fair$, cheap$, bargain, worth, value for money, affordable, thank, impress,
        delight, enjoy, like$, liked$, well$, works$, efficient, professional, courteous, responsive, high quality,
        top notch, exceed, flawless, useful, glad, fine$, seamless, generous, 👍, ❤, 😍, 😊, 👏, 😀
    """),
    bad=stems("""
        bad, badly, terribl, horribl, awful, worst, worse, poor, disappoint, annoy, frustrat, angry, upset, unhappy,
        dissatisf, unsatisf, useless, rubbish, garbage, trash, junk$, broken, broke$, defect, damag, faulty, fault$,
        crack, scratch, torn$, stain, dirty, leak, late$, delay, slow, wait, lost$, missing, wrong, incorrect,
        incomplete, problem, issue, complain, complaint, refund, return, cancel, expensive, overpriced, pricey, rip off,
        ripoff, scam, fraud, fake, counterfeit, misleading, lied$, lie$, rude, unhelpful, unprofessional, unfriendly,
        ignored, ignore, difficult, complicated, confus, crash, bug$, bugs$, buggy, error, fail, stopped work, waste,
        regret, hate, cheap quality, cheaply, low quality, still no, still not, still waiting, unfortunately,
        hidden fee, hidden cost, overcharg, unaccept, shame, stuck, disgust, avoid, never again, nightmare, hassle, 😡,
        😠, 😞, 😢, 😭, 👎, 😤
    """),
    expected=stems("""
        arriv, deliver, receiv, come$, came$, got$, get$, work, respond, response, reply, repli, answer, answered,
        contact, help, helped, hear, heard, fit$, fits$, turn on, charge$, sent$, send$, ship, solve, resolve, fix,
        fixed, explain, inform, refund, as described, buy$, last$, lasts$, happen, care$
    """),
    themes={
        "delivery": stems("""
            deliver, arriv, ship, shipped, courier, parcel, package, packag, packed$, tracking number, late$, delay,
            on time, in time, early$, out of stock, in stock, dispatch, missing, incomplete, carrier, postman, postal,
            never came, didn t come, came quick, came fast, came late, lost in the, wrong address, still waiting for my,
            order was cancel, cancelled my order, canceled my order, not received, never received, received my,
            received the, turned up, days before, days after
        """),
        "quality": stems("""
            quality, defect, broken, broke$, broke after, damag, faulty, crack, scratch, torn$, stain, leak, material,
            fabric, durab, sturdy, flimsy, colour, color, size$, sizes$, too small, too big, too large, fits$, fit$,
            fake, counterfeit, original, as described, description, picture, works well, works great, works perfect,
            works fine, stopped work, doesn t work, does not work, didn t work, not working, comfort, beautiful,
            product is, great product, good product, excellent product, bad product, poor product, love the product,
            love it$, wrong item, wrong product, battery, screen, reliab, well made, badly made, taste, smell,
            sound quality
        """),
        "support": stems("""
            support, customer service, service was, staff, agent, representative, helpdesk, help desk, helpful,
            unhelpful, rude, polite, friendly, respond, response, reply, replied, replies, answer, contact, called$,
            calls$, phone$, email, e mail, chat$, refund, return, exchange, complain, complaint, solved, resolve,
            resolved, issue was, ticket, warranty, seller, informed, communicat, explain, on hold, call center,
            call centre, cancel my, nobody told, not told, money back, hotline, advice, advis
        """),
        "price": stems("""
            price, pricing, expensive, overpriced, cheap$, cheaper, cost, costs, fee$, fees$, value for money,
            worth the, affordable, discount, money$, bargain, subscription, charged$, overcharg, deal$, deals$, rip off,
            ripoff, free shipping, bill$, billed$, billing, invoice, pay$, paid$
        """),
        "ease": stems("""
            website, site$, app$, apps$, easy, ease$, easil, user friendly, interface, checkout, check out, navigat,
            intuitive, complicated, confusing, log in, login, password, account$, form$, sign up, set up, setup,
            install, instruction, manual$, usability, simple to, difficult to use, hard to use, crash, bug$, bugs$,
            buggy, tracking page, slow to load, online order, ordering
        """),
    },
)  # fmt: skip
