"""The map of the pipeline: the path of the data, the rooms, who imports whom, and the words that are ours.

The path of an answer, and of the question before it:

    foreign topics
        sources                     each record becomes events by a mapping file, or a dead letter
    nps.purchases, nps.support, nps.contacts, nps.responses, nps.wakeups      keyed by customer
        kafka.ports.Batch           what one fetch brought from one partition
        engine                      Faust: the group, its assignment; fetching, offsets, lease, fuse, progress
        processing.journeys         the agent: one merge and one processor a partition
        processing.merge            the topics in step: one batch, in order of Kafka time
        intake                      a record becomes an event, or a dead letter with its reason
        domain.journey.step         (journey, event, program, now) -> (journey, effects): pure, the product
        processing.outputs          effects become records
        processing.partition        made durable in order: outputs, panes, journeys and progress, then the offsets
    nps.decisions, nps.dispatches, nps.answers, nps.alerts, nps.erasures, nps.panes
        processing.rolling          panes become rolling NPS of each segment and window, nps.rolling; and at each full
                                    hour evidence of falls, nps.falls
        comments                    nps.answers become themes and sentiment of comments: nps.comments
        sinks.loader                rows in ClickHouse
        sinks.notify                alerts to people
    nps.alerts, nps.alert-actions, nps.erasures, nps.falls
        oncall.process              become events of nps.oncall, the one order of what may page somebody or stop it
        domain.incidents.step       (incident, event, rules, now) -> (incident, effects): pure
        oncall.fold                 events become nps.notifications and nps.cases, then nps.incidents
    whatever cannot be used         nps.dead-letters, bytes and all, until `nps deadletters` puts it back or drops it

The rooms, each below those above it; imports run down, never up and never in a circle (import-linter holds it):

    streams.cli                     the command line `nps`; its words
    streams.commands                what each command does; like cli and local it knows streams and sinks
    streams.local                   broker, ClickHouse and our processes on this machine; the demo
    streams.page                    the live page: what is known now, to people's browsers, and what they do about it
    streams.proof                   do stream, warehouse and a recount agree; rehearsals and rebuilds of the past
    streams.processing              the worker: agents, partitions, outputs
    streams.collector               answers by links and by push, and webhooks of sources, over HTTP
    streams.sources                 mapping files: foreign records become events, without code
    streams.oncall                  incidents: intake, fold, due times
    streams.comments                themes and sentiment of comments, in a process of their own
    streams.intake                  the checks of one inbound record, for the worker and the collector alike
    streams.settings                NPS_* variables, checked
    streams.state                   tables in memory, timers, lineage and progress of the state
    streams.engine                  the one room that knows Faust and aiokafka
    streams.kafka                   ports and their adapters over librdkafka and in memory; topics, security
    streams.program                 the reader of the program file, nps.toml
    streams.domain                  pure: journeys, triggers, responses, panes, windows, NPS
    streams.domain.incidents        pure: falls of NPS, absences
    streams.metrics, clock, errors  Prometheus metrics; the wall clock; every error with its exit code
    schemas                         what crosses the wire: records, codec, topics, reasons, JSON events, text to show
    schemas.fast                    encoders and decoders generated for flat Avro records

    sinks.loader, sinks.notify      Kafka to the warehouse; alerts and news of incidents to people
    sinks.erasure                   rows lose the customers who were erased
    sinks.clickhouse, sinks.memory  the two warehouses
    sinks.chdb                      the local ClickHouse: chDB behind an HTTP server
    sinks.rows, batch, warehouse    records as rows; when a batch is due; the port

Words that are ours, and some of the field that mean one thing here:

    answer        the whole of what a customer said to one survey, with its revisions
    batch         what one fetch brought from one partition, records of it merged, or rows written together
    case          an event about a support case; a trigger, as a purchase is
    decision      what became of a trigger: sent, suppressed for one reason, or pending
    epoch         raised whenever topics are made anew, so that new versions beat old ones
    fall          NPS of a window that lies below the days before it by more than chance and what is ignored
    fuse          stops a process that finds too many bad records: the fault is not in the records
    invitation    a survey that was sent to a customer, with what was given in answer
    journey       all that is known of one customer
    lease         the time for which the group cannot have given a worker's partitions away
    letter        a dead letter, through all its deaths; of a foreign record too
    lineage       the topics, by id and epoch, from which state was made
    pane          one segment's minute, hour or day, with its tally
    incident      detractors of one group, a fall or an absence, from the first page to the last
    in hand       the batch that is being decided and written, and not remembered yet
    parked        a response that waits in its journey until its survey is sent
    link          an order, case or address that leads to its customer, for foreign records that name none
    mapping       a TOML file that says which events a foreign record becomes
    part          one thing said to a survey: a score, a comment, both, or a withdrawal
    program       the rules, segments, windows and limits in nps.toml
    provisional   a click on a score link that has not been confirmed yet
    quarantine    the time in which a customer is not asked again
    segment       customers that are counted together, as `all` or `country=BR`
    step          one event taken into one journey
    tally         promoters, passives, detractors
    trigger       a purchase or support event that may lead to a survey
    version       topic epoch << 48 | offset of the record that caused a value; higher wins
"""
