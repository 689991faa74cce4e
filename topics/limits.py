"""Every limit, with its reason; the relations between them are asserted at the end."""

KIB = 1024
MIB = 1024 * KIB

# --- records -------------------------------------------------------------------------------------
INPUT_VALUE_BYTES_MAX = (
    64 * MIB
)  # a larger input is a dead letter `too_large`; reading one takes about four times its size
MAIL_PARSE_BYTES_MAX = (
    1 * MIB
)  # a raw mail is cut here before it is parsed: attachments come last; hostile MIME takes 0.7 s
OUTPUT_RECORD_BYTES_MAX = 1_000_000  # a topic's default message.max.bytes is 1,048,588; headers and framing need room
DEAD_LETTER_VALUE_BYTES_MAX = 99 * MIB  # byte for byte; a broker's socket.request.max.bytes is 100 MiB
MESSAGE_TEXT_CHARS_MAX = 12_000  # what a model is shown of one message: about 3,000 tokens of prose
PATTERN_SECONDS_MAX = 0.1  # of one search: nothing else runs in a worker meanwhile
RULE_TEXT_CHARS_MAX = 4_000  # what a rule's regular expression sees: its time may grow with the square of the text
LOG_LINE_CHARS_MAX = 4_000  # longer lines are stack traces or dumps: the beginning tells
ESCALATION_TEXT_CHARS_MAX = 48_000  # an agent reads one message at a time and may see more of it
WINDOW_TURNS_MAX = 100  # turns of a conversation that a policy may ask for
CONVERSATIONS_MAX = 20_000  # open conversations a partition; the oldest is closed first
LOOKBACK_RECORDS_MAX = 2_000  # input records re-read a partition to rebuild dialogue windows after a restart
TURN_CHARS_MAX = 4_000  # of one turn as a window keeps it; longer turns are pasted documents
WINDOW_CHARS_MAX = 32 * MIB  # of all open conversations of a partition; the oldest is closed first
SESSION_LINES_OPEN_MAX = 20_000  # a partition: lines that wait for the end of their session: about 30 MB
SESSION_CHARS_OPEN_MAX = 32 * MIB  # a partition: what sessions say, without their records; the oldest ends first
SESSIONS_REMEMBERED_MAX = 10_000  # a partition: sessions that ended early and may go on; part of the same characters
SESSION_VOTES_MIN = 3  # sessions of a kind that are asked about before memory answers: a model errs on one in twenty
SESSION_VOTES_MAX = 5  # where those do not agree
SESSION_VOTES_KEPT = 15  # of a kind: most of 15 are wrong for one kind in 20 that a model errs on in 3 of 10 cases
SESSION_FORMS_MAX = 200  # templates of one session that are told apart; further lines are counted together
SESSION_LINE_CHARS_MAX = 500  # shown of one of its lines
SESSION_QUIET_SECONDS = 5.0  # without any line in the partition: then the clock ends sessions, not only later lines
MEMORY_TEXT_CHARS_MAX = 256  # a longer text is known to exact memory by its digest
RECORD_FIELDS_MAX = 64  # of one record: rules name a few; a record with thousands is a dump
RECORD_FIELD_CHARS_MAX = 1_000  # of one such field's value: rules look at words, not at documents
KEY_CHARS_MAX = 1_024  # of a record's key or conversation as text; the key itself is carried whole
ENVELOPES_MAX = 4  # JSON in JSON: Connect's schema envelope, a payload object, a string of JSON, a container's log
HTML_CHARS_MAX = 150_000  # of one part of a mail: rendering takes 40 ms (hostile: 300 ms), in which nothing else runs
REPLY_LINE_CHARS_MAX = 160  # of a mail's line, as the search for quoted replies sees it: it is quadratic in lines
MAIL_PARTS_MAX = 200  # of one mail: real ones have a dozen
MAIL_HEADER_CHARS_MAX = 2_000  # of one mail header: the parser of addresses and encoded words is slow on long ones
DEAD_LETTER_ERROR_CHARS_MAX = 2_000  # of the error in a dead letter's headers

# --- one process ---------------------------------------------------------------------------------
INFLIGHT_RECORDS_MAX = 1_000  # a partition: records that wait for a model or an agent
INFLIGHT_BYTES_MAX = 64 * MIB  # a partition: values taken from Kafka that wait for a model
HELD_BYTES_MAX = 128 * MIB  # a process: values that wait, and outputs that are not committed; one poll may exceed it
LINE_SHAPES_MAX = 4_096  # log lines that differ in digits only, kept with their template: at most 40 MB
LINE_LAYOUTS_MAX = 16_384  # the same, kept with what is read from where: about 20 MB, at most 60
LINE_LAYOUT_BYTES_MAX = 1 * KIB  # of such a line; longer ones are read anew each time
MEMORY_ENTRIES_MAX = 200_000  # exact memory: about 110 MB
MEMORY_TENANTS_MAX = 1_024  # a stream: whose keys have their beginning hashed: half a megabyte
SIGNATURE_SHAPES_MAX = 16_384  # a stream, twice: log lines that differ in digits only: about 10 MB
SIGNATURE_WORDS_MAX = 8_192  # a process: words that tell a status, as `status=500`, and parts of words looked up
SIGNATURE_CHARS_MAX = 1_000  # a log line with a longer one keeps asking: a dump, not an event
TEMPLATE_ENTRIES_MAX = 20_000  # a stream and process: signatures with their answers, about 30 MB
TEMPLATE_GROUPS_MAX = 32_768  # a stream and process: signatures with a gap, about 25 MB
TEMPLATE_WORDS_MAX = 40  # of a signature, that a gap is tried in
TEMPLATE_ANSWERS_MIN = 3  # that agree one after the other, before memory answers
TEMPLATE_GAP_WORDS_MIN = 5  # that one gap was seen with, before it is taken for a parameter
MEMORY_IDS_MAX = 16  # messages named in an entry as those that it was learnt from
MEMORY_AGE_MS_MAX = (
    7 * 86_400_000
)  # since a model's last answer: by the stream's own time, of exact memory by the clock
NEAR_ENTRIES_MAX = 5_000  # a stream and process: mails with their hashed words, about 50 MB at 400 words
NEAR_BUCKET_MAX = 16  # mails that one band of their hashes may lead to
NEAR_WORDS_MIN = 20  # of a shorter text one word is too much of it
NEAR_WORDS_MAX = 3_000  # of a longer one reading them would hold the event loop for milliseconds
MEMORY_QUEUE_MAX = 10_000  # entries that wait for the broker; more are not told to others: one more question each
MEMORY_ENTRY_BYTES_MAX = 64 * KIB  # of one entry on the topic; a larger one stays with the worker that paid for it
MEMORY_TOPIC_AGE_MS_MAX = 30 * 86_400_000  # an older entry on the topic is as if it were not there
MEMORY_ERASURES_MAX = 10_000  # kept, so that what was on its way when it was erased does not come back
MEMORY_ERASE_SECONDS = 5.0  # what workers tell until then is erased too: by then all of them have heard of it
MEMORY_ERASE_PASSES_MAX = 5  # over the topic, until nothing is found any more
KNOWN_DECISIONS_MAX = 16_384  # a stream: decisions kept as JSON, to be given again: about 20 MB, at most 60
KNOWN_DECISION_CHARS_MAX = 2_000  # of one of them: a log line's has about 500
RECENT_MESSAGES_MAX = 50_000  # the agents' local store of recent messages: about 60 MB

COINS_MAX = 4_096  # blocks of 16 coins of audits that are kept, a stream: a megabyte
PLANS_MAX = 16_384  # messages of a stream that wait for the reference: what was said of them when their coin was tossed
SELF_AUDITS_SHARE = 0.05  # of what the reference judges anyway: it is asked twice, to see how far it agrees with itself
ESCALATION_USD_MICROS = 4_000  # of a mini run, about: what another vote of nano's may save
CANDIDATES_MAX = 16  # models that an operator has tried since the start, whose server's limits are remembered
CANDIDATE_REST_SECONDS = 60.0  # a model on trial that cannot be asked is let alone for: no answer waits for it twice
CANARY_SHARE = 0.1  # of the messages of nano's batches: a model that was just certified answers these alone at first
CANARY_SECONDS = 86_400.0  # so long: the hours of one day differ, and audits of what it publishes see them all
LOOKS_SHARE = 0.02  # of what memory and students answer and no coin audits: nano in a batch is asked about it too
LOOKS_MAX = 128  # a stream, noted and under way: some ten batches a second; more messages a second are a smaller share
LOOKS_WAIT_SECONDS = 30.0  # for a full batch, since the first was noted; nobody waits for it but the next messages
LOOKS_DEADLINE_SECONDS_MIN = 60.0  # of such a batch, where the stream's own deadline is shorter
LOOKS_REGIONS_MAX = 4_096  # a stream: of which something disagreed, or where the reference answers: a few megabytes
LOOKS_CALM = 20  # answers of the reference that agree in a row, before the rule answers there again
LOOKS_CLOSED_SECONDS = 86_400.0  # then it answers all the same: the watch of the whole stream is there, too
BATCH_SHADOWS_SHARE = 0.5  # of what the reference judges: nano in a batch is asked too, until that is proven

# --- engine --------------------------------------------------------------------------------------
COMMIT_METADATA_CHARS_MAX = 4_096  # the broker's offset.metadata.max.bytes; 4,097 is refused and kills the producer
PRODUCERS_MAX = 2  # a worker: while one commits the other fills; with more of them transactions crowd the broker
TRANSACTION_RECORDS_MAX = 20_000  # inputs whose results are gathered for one transaction
TRANSACTION_BYTES_MAX = 8 * MIB  # of their outputs, about; one output may exceed it
TRANSACTION_INTERVAL_SECONDS = 0.05  # from one transaction's begin to the next, at least: docs/latency.md has others
PREFETCH_BYTES_MAX = 32 * MIB  # fetched and not yet polled; one more answer of a broker may exceed it
FETCH_BYTES_MAX = 8 * MIB  # one answer of a broker, which is in memory twice for a moment; a larger record comes alone
PARTITION_FETCH_BYTES_MAX = 1 * MIB  # of one partition in it
FETCH_WAIT_MS_MAX = 50  # a broker waits so long for a record to come; other questions to it wait too
POLL_RECORDS_MAX = 500  # one poll: triage on memory hits holds the event loop for about 4 ms with them
OUTPUT_BATCH_BYTES = 256 * KIB  # far below a topic's default max.message.bytes, which counts the whole batch
SESSION_TIMEOUT_MS = 10_000  # a killed worker's partitions go to others after this long
TRANSACTION_TIMEOUT_MS = 10_000  # an abandoned transaction hides every other record of its partitions for that long
STABLE_OFFSETS_SECONDS_MAX = 25.0  # until a transaction that changes an offset has ended; brokers abort every 10 s
REVOKE_SECONDS_MAX = 1.5  # a rebalance is eager: every member waits for the slowest to let go
SHUTDOWN_SECONDS_MAX = 20.0  # SIGTERM to exit; a pod's grace (30 s) is longer
ATTEMPTS_MAX = 4  # of one record that fails by itself (invalid answers, internal errors); then dead-letters
PROVIDER_OUTAGE_SECONDS_MAX = 3_600.0  # a record whose calls find no provider this long is a dead letter
PARK_SECONDS_MIN = 60.0  # what waits less waits in memory: parking costs two writes and two reads
PARK_SECONDS_MAX = 3_600.0  # then it is looked at and parked again: what is parked behind it may be due before
HOLD_SECONDS = 15.0  # between looks at a closed account or a refused key
BUDGET_LOOK_SECONDS = 15.0  # so late a record hears that its budget may be larger; thousands wait, each with its timer
BROKER_ANSWER_SECONDS_MAX = 10.0  # of a broker's first answer; then its address is taken for wrong
BROKER_REQUEST_SECONDS_MAX = 30.0  # of each later one: where topics are being made, a small machine needs seconds
TOPIC_CREATION_SECONDS_MAX = 20.0  # from creating topics until all their partitions have a leader

# --- alerts --------------------------------------------------------------------------------------
ALERT_LABEL_CHARS_MAX = 256  # of one label's value: fields of messages and templates are among them
ALERT_ACTIONS_MAX = 5  # next steps that an alert shows of a review
ALERT_EVIDENCE_MAX = 5  # message ids that an alert shows
BURST_TEMPLATES_MAX = 4_096  # a partition: log templates whose lines are being counted, about 2 MB
INCIDENT_BUCKETS = 60  # a window is counted in so many parts: within one, messages count as if they came together
INCIDENT_BUCKETS_HELD_MAX = 120  # of one fingerprint: its state is written anew with every signal, 10 KB at most
INCIDENT_REMEMBERED_SECONDS = 7 * 86_400.0  # a resolved one; as long as Kafka keeps a message that is late, by default
SIGNALS_BATCH_MAX = 500  # whose effects are written together: one write of a state, however many signals changed it
SIGNALS_LINGER_SECONDS = 0.05  # until a smaller batch is taken
INCIDENT_TURN_SECONDS = 1.0  # between looks at what time alone ends
INCIDENT_LOOKS_MAX = 500  # at incidents in one such look: tens of milliseconds
INCIDENT_COMMIT_SECONDS = 1.0  # between commits of offsets: what is read again after a kill counts once all the same
INCIDENT_WRITE_SECONDS_MAX = 60.0  # until the broker has a write; a broker that restarts needs ten
INCIDENT_REVOKE_SECONDS_MAX = 5.0  # a turn under way may end; the group waits
INCIDENT_START_SECONDS_MAX = 120.0  # to join the group and to read the changelog; then the worker starts anew
INCIDENT_STALLED_SECONDS_MAX = 60.0  # with signals there and none heard; then the worker starts anew
INCIDENT_STOP_SECONDS_MAX = 5.0  # of Faust's own end, after the worker's
INCIDENT_RESTART_SECONDS = 2.0  # after the worker failed

assert INCIDENT_BUCKETS <= INCIDENT_BUCKETS_HELD_MAX, "a whole window fits"

# --- notify --------------------------------------------------------------------------------------
NOTIFY_LINGER_SECONDS = 0.5  # revisions come in bunches, and after a restart all over again: the newest is told
NOTIFY_CALL_SECONDS_MAX = 10.0  # one HTTP call to a target
NOTIFY_CALLS_MAX = 4  # at once to one target; Slack takes one a second
NOTIFY_BACKOFF_SECONDS_MIN = 0.5  # after a target's first failure; then it doubles
NOTIFY_BACKOFF_SECONDS_MAX = 30.0  # so late a target that is back is found at most
NOTIFY_ATTEMPTS_MAX = 64  # of one alert at one target: half an hour of them, or a server that fails on this alert alone
NOTIFY_SECONDS_MAX = 1_800.0  # of one alert at one target that is away; then dead-letters
NOTIFY_QUEUE_MAX = 500  # alerts that wait for one target that is away; more become dead letters
NOTIFY_CROWDED_SECONDS = 60.0  # away for less, a target may have more of them wait: it was a restart
NOTIFY_HELD_MAX = 250  # alerts that wait for a page cap's hour; more become dead letters
NOTIFY_ALERTS_MAX = 10_000  # known at once, the oldest forgotten first: about 30 MB
NOTIFY_LOOKBACK_RECORDS = 1_000_000_000  # all of the alerts topic: what fires now may be as old as its retention
NOTIFY_LOOK_SECONDS = 1.0  # between looks at what time alone does: ends of silences, room for pages, repeats
NOTIFY_REPEAT_SECONDS = 60.0  # Prometheus's own resend delay
NOTIFY_REPEAT_SECONDS_MIN = 0.5  # a shorter one is a slip of the pen
NOTIFY_REPEATS_VALID = 4  # Alertmanager takes an alert for over when so many repeats did not come; as Prometheus
NOTIFY_RESOLVED_SECONDS = 900.0  # so long Alertmanager is told of an end; as Prometheus: it may have been down
NOTIFY_REPEAT_ALERTS_MAX = 100  # in one call
NOTIFY_PAGES_PER_HOUR_MAX = 1_000  # a cap beyond it caps nothing
NOTIFY_SUMMARY_ALERTS_MAX = 20  # named in the one message about what was held back; the rest is counted
NOTIFY_TEXT_CHARS_MAX = 2_900  # of a text in a message: Slack takes 3,000 in a block
NOTIFY_TITLE_CHARS_MAX = 150  # of a title: Slack's header takes no more
NOTIFY_ANSWER_CHARS_MAX = 300  # kept of what a target said to a message that it refused

assert NOTIFY_QUEUE_MAX + NOTIFY_HELD_MAX < INFLIGHT_RECORDS_MAX, "what waits for one does not hold up the others"

# --- replay --------------------------------------------------------------------------------------
REPLAYS_MAX = 3  # of one record: what died as often again is poison, and a person should look at it
REPLAY_RECORDS_MAX = 1_000  # in one transaction: what it holds is hidden from every reader until its end
REPLAY_BYTES_MAX = 16 * MIB  # in one transaction; a larger record goes alone
REPLAY_EXAMPLES_MAX = 5  # shown of what goes back
REPLAY_SILENCE_SECONDS_MAX = 30.0  # without an answer from the broker

# --- models --------------------------------------------------------------------------------------
BATCH_MESSAGES_MAX = 32  # beyond it errors grow and little is saved (BatchPrompt; FACTS "batches")
REVOTE_SHARE = 0.6  # of what company saves, as a share of a call's price: so much may second votes cost
REVOTE_ALONE_SHARE = 0.18  # of what first answers cost, where second votes are asked alone: they help more
REVOTE_ALONE_BELOW = 0.55  # they are, where company saves less
BATCH_INPUT_CHARS_MAX = 48_000  # of all messages in one call: bounds latency and what one failed call wastes
BATCH_LINGER_SECONDS_MAX = 10.0  # at one message a second that is ten a call; shutdown does not wait for longer
CACHE_KEYS_MAX = 256  # of one stream's prompts in a process: 3,840 calls a minute at 15 a key
TRIAGE_CALLS_MAX = 128  # a stream at once: 1,000 to 2,000 messages a second when a call takes one
FIELD_CHARS_MAX = 500  # of an extracted text: a name, a number, a cause; bounds what a pattern is tried on
SUMMARY_CHARS_MAX = 600  # of a summary: one sentence, generously
CALL_ATTEMPTS_MAX = 6  # of one HTTP call: 429, 5xx, timeouts
CALL_SECONDS_MAX = 60.0  # one HTTP call
RETRY_AFTER_SECONDS_MAX = 120.0  # a longer Retry-After is cut to this and tried again
GATEWAY_QUEUE_MAX = 2_000  # calls waiting for a limit; more are refused to the caller, who keeps its record
CALLS_IN_FLIGHT_MAX = 256  # of one model and process: a socket each, and enough for any limit at a second a call
CALLS_IN_FLIGHT_FIRST = 8  # before a model's server has told its limits; grows with every answer
CONNECT_SECONDS_MAX = 10.0  # to a model's server; part of CALL_SECONDS_MAX
BACKOFF_SECONDS_MAX = 20.0  # between tries of one call where the server does not say how long
REPLY_BYTES_MAX = 16 * MIB  # a longer answer to a call is garbage
DECISION_QUESTIONS_MAX = 400  # in one call: what OpenAI's Decisions API takes
DECISION_CHOICES_MAX = 255  # of one question: the same
OUTPUT_TOKENS_DEFAULT = 4_096  # of a call that names no bound: without one its worst cost is unknown
SPEND_QUEUE_MAX = 10_000  # spend records waiting for the broker: minutes of an outage at full rate

# --- lanes ---------------------------------------------------------------------------------------
FLEX_DEADLINE_SECONDS_MIN = 300.0  # flex takes minutes when it is busy: less time than this is realtime's
FLEX_CALL_SECONDS_MAX = 900.0  # one call: the vendor's advice
FLEX_WAIT_SECONDS_MAX = 3_600.0  # for room in flex, however far the deadline: then the default lane
LANE_FALLBACK_SECONDS = 120.0  # before its deadline an ask leaves a slow lane: room for a realtime call and its tries
BATCH_DEADLINE_SECONDS_MIN = 12 * 3_600.0  # jobs take 1 to 20 hours; flex costs the same and is there sooner
BATCH_LATE_SECONDS = 900.0  # before its deadline at the latest, what no job has answered goes by flex or realtime
BATCH_CANCEL_SECONDS = 5_400.0  # before its first deadline a job is cancelled, which takes the vendor 10 minutes
BATCH_FILE_BYTES_MAX = 16 * MIB  # of one job: the vendor takes 200 MB, a worker has to hold it
BATCH_FILE_REQUESTS_MAX = 10_000  # of one job: the vendor takes 50,000
BATCH_PENDING_BYTES_MAX = 64 * MIB  # of a provider's requests that are not in a job yet; more are refused for a while
BATCH_LINGER_SECONDS = 30.0  # until a file that is not full is sent; the vendor takes 2,000 jobs an hour
BATCH_LINGER_JOBS = 8  # under way, that make it linger for as long again: jobs take hours, and their list is bounded
BATCH_LINGER_TIMES_MAX = 20  # ten minutes: who asks again has to wait for longer
BATCH_FILINGS_MAX = 5  # tries to file one job, before its requests wait for the next turn
BATCH_POLL_SECONDS_MIN = 30.0  # between looks at the jobs, a tenth of the youngest one's age
BATCH_POLL_SECONDS_MAX = 300.0
BATCH_STALE_SECONDS = 20.0  # what is unknown is looked for anew when the last look is older; before filing always
BATCH_AGAIN_SECONDS_MIN = 90.0  # until somebody asks again for an answer, beside the linger: by then it is in a job
BATCH_AGAIN_SECONDS_MAX = 3_600.0
BATCH_ORPHAN_SECONDS = 300.0  # a file that no job was made of by then belongs to a worker that is gone
BATCH_ADOPT_SECONDS = 600.0  # an ended job that its worker has not entered in the ledger by then, another one enters
BATCH_ENTRIES_MAX = 500  # spend records at once, of a job that ended: they have to be written too
BATCH_ENTRIES_SECONDS = 0.05  # until the next ones
BATCH_FILES_SECONDS = 3 * 86_400.0  # files at the provider expire by themselves; a worker away for longer pays anew
BATCH_JOBS_MAX = 1_000  # known at once, the oldest forgotten first; with half as many under way no more are made
BATCH_NAMES_MAX = 1_000_000  # known at once, of messages and requests, about 60 MB; half as many are under way
BATCH_FAILED_MAX = 100_000  # names remembered that came back from a job without an answer, about 10 MB
BATCH_READ_REQUESTS_MAX = 20_000  # whose answers are held, 100 MB at most, or one job's; others are read again
BATCH_READINGS_MAX = 512  # a stream: answers to requests with their verdicts; others are looked through again
BATCH_PAID_MAX = 100_000  # a stream: answers that a decision was billed for, so that none is billed to two
BATCH_PAGES_MAX = 50  # of the provider's list of jobs, 100 each, and of its list of files
BATCH_ABOUT_CHARS_MAX = 6_000  # of what a request is about: the vendor keeps 16 values of 512 characters beside one
BATCH_NAME_CHARS_MAX = 32  # of a message of triage's in it, beside what its answer is called
BATCH_OUTPUT_BYTES_MAX = 256 * MIB  # of one job's answers, read line by line

assert LANE_FALLBACK_SECONDS < FLEX_DEADLINE_SECONDS_MIN < FLEX_CALL_SECONDS_MAX <= FLEX_WAIT_SECONDS_MAX
assert PARK_SECONDS_MAX + BATCH_LATE_SECONDS + 600 <= BATCH_CANCEL_SECONDS, "what a cancelled job did is seen in time"
assert BATCH_CANCEL_SECONDS < BATCH_DEADLINE_SECONDS_MIN < BATCH_FILES_SECONDS
assert FLEX_DEADLINE_SECONDS_MIN <= BATCH_LATE_SECONDS, "what is late may still go by flex"
assert BATCH_LINGER_TIMES_MAX * BATCH_LINGER_SECONDS + BATCH_AGAIN_SECONDS_MIN <= PARK_SECONDS_MAX
assert BATCH_AGAIN_SECONDS_MAX <= PARK_SECONDS_MAX
assert BATCH_MESSAGES_MAX * (BATCH_NAME_CHARS_MAX + 10) < BATCH_ABOUT_CHARS_MAX, "a full request can be told of"
assert BATCH_LINGER_SECONDS < BATCH_AGAIN_SECONDS_MIN, "who asks again finds the job"
assert PARK_SECONDS_MIN <= BATCH_AGAIN_SECONDS_MIN, "what waits for a job is worth parking"
assert BATCH_FILE_BYTES_MAX <= BATCH_PENDING_BYTES_MAX <= 200_000_000
assert BATCH_FILE_REQUESTS_MAX <= 50_000
assert BATCH_ENTRIES_MAX < SPEND_QUEUE_MAX

assert RULE_TEXT_CHARS_MAX >= LOG_LINE_CHARS_MAX, "a rule sees the whole of a log line"

# --- schema registry -----------------------------------------------------------------------------
REGISTRY_SCHEMAS_MAX = 1_000  # kept ready; ids never change their meaning, and a topic has a handful
REGISTRY_REFERENCES_MAX = 50  # schemas that one schema is made of
REGISTRY_REPLY_BYTES_MAX = 4 * MIB  # a longer answer is no schema
REGISTRY_SECONDS_MAX = 10.0  # one request
REGISTRY_ATTEMPTS_MAX = 3  # of one request, before the record waits as for a provider that is away
REGISTRY_REFUSED_SECONDS = 30.0  # an id that is not there is not asked for again before: a registry may lag behind
AVRO_DEPTH_MAX = 32  # types within types: the reader goes down with them on the machine's own stack

# --- students --------------------------------------------------------------------------------------
LESSON_CHARS_MAX = 4_000  # of a message as a student sees it: of a dialogue the newest turns
LESSON_MAIL_CHARS_MAX = 2_000  # of a mail: what it is about stands at its beginning
STUDENT_LESSONS_MIN = 200  # fewer teach little, and tell nothing of how sure it may be
STUDENT_LESSONS_MAX = 20_000  # the newest: a student of 150 labels learns from them in about a minute
STUDENT_LABELS_MAX = 512
STUDENT_COLUMNS_MAX = 65_536  # hashed words that a student knows, the most frequent ones
STUDENT_WEIGHTS_MAX = 4_000_000  # columns times labels: a byte each in a dump, five in a worker
STUDENT_BYTES_MAX = 5 * MIB  # of a dump, which travels in parts; with 151 labels it has 0.8 MB

# --- the trainer, and state that workers share ------------------------------------------------------
STUDENT_PART_BYTES = 900_000  # of a student in one record: a topic's default bound, with room for framing
STUDENTS_KEPT_MAX = 4  # of a stream: the certified, the one that was before it, and the newest two
STUDENT_INTERVAL_SECONDS = 60.0  # between two trainings of a stream: each new version has to prove itself anew
STUDENT_TRAINING_SECONDS_MAX = 600.0  # of one training; then it is ended
STUDENT_RETRY_SECONDS = 600.0  # after a training that failed, or found the lessons too few of their kinds
LESSONS_CHARS_MAX = 32 * MIB  # of a stream's lessons: four bytes a character at worst
LESSONS_LOOKBACK_RECORDS = 60_000  # of each topic, read again at a start: the lessons of a few streams
TRAINER_POLL_RECORDS_MAX = 500  # between two looks of the event loop at its other work
TRAINER_POLL_SECONDS = 0.2  # between two looks at its group, what time alone does, and orders
TRAINER_PUBLISH_SECONDS = 5.0  # a stream's state, about 20 KB, at most so often, unless its standing changes
TRAINER_MARK_SECONDS = 60.0  # until the state of a quiet stream says up to where it goes: a start reads from there
TRAINER_AUDITS_BEHIND_SECONDS_MAX = 10.0  # a new leader of a partition knows its end sooner; then audits are gone
TRAINER_RESTART_SECONDS = 2.0  # after a failure
SHARED_SEGMENT_BYTES = 64 * MIB  # of a topic that is read whole at a start: of what is older the newest is kept
SHARED_POLL_SECONDS = 1.0  # between two looks of a follower, where nothing comes
SHARED_POLL_RECORDS_MAX = 500
SHARED_FETCH_WAIT_MS = 200  # a consumer's stop waits for its last fetch
SHARED_SILENCE_SECONDS_MAX = 30.0  # with records there and none heard; a transaction of a killed writer ends sooner
SHARED_START_SECONDS_MAX = 60.0  # until a worker begins without what is shared: dearer, and as right
SHARED_RETRY_SECONDS = 2.0  # after the broker failed

assert STUDENT_WEIGHTS_MAX + 6 * STUDENT_COLUMNS_MAX + 512 * KIB < STUDENT_BYTES_MAX, "every student can travel"
assert STUDENT_PART_BYTES < OUTPUT_RECORD_BYTES_MAX
assert SHARED_SILENCE_SECONDS_MAX < SHARED_START_SECONDS_MAX, "a second reading may begin before"
assert TRANSACTION_TIMEOUT_MS + 10_000 < SHARED_SILENCE_SECONDS_MAX * 1_000

# --- agents --------------------------------------------------------------------------------------
AGENT_RUNS_MAX = 64  # escalations that one stage of a process works on at once; a run costs about 12 ms of CPU
AGENT_OUTPUT_TOKENS_MAX = 2_000  # of one model call: an answer has a summary, evidence and actions
AGENT_SUBTASKS_MAX = 4  # of one flagship plan; they run at the same time
AGENT_SUBTASKS_SHARE = 0.75  # of turns, seconds, tokens and money; the rest is kept for the decision
AGENT_REASKS_MAX = 1  # of an answer that does not fit its schema
AGENT_TEXT_CHARS_MAX = 2_000  # of one summary, finding, action or report in a Resolution
TOOL_OUTPUT_CHARS_MAX = 6_000  # of one tool call: about 2,000 tokens, which every later turn reads again
TOOL_ROWS_MAX = 50  # messages or rows that one tool call gives
TOOL_QUERY_CHARS_MAX = 4_000  # of what a model may hand to a tool
COUNT_BUCKETS = 12  # enough to see whether something grows
COUNT_MINUTES_MAX = 24 * 60
RECENT_TEXT_CHARS_MAX = 500  # kept of one recent message
RECENT_WORDS_MAX = 8  # of one search: sixteen common words over a full store take 100 ms
RECENT_VALUE_BYTES_MAX = 256 * KIB  # larger records are not kept: parsing one would hold the event loop
POLICY_LOOK_SECONDS = 2.0  # between looks at the policy file of a running worker
SHADOW_RECORDS_MAX = 100_000  # of one partition, that a comparison reads to find its messages
RECENT_LOOKBACK_RECORDS = 10_000  # of all partitions together: read at the start, and kept up with at most
RECENT_RECORDS_PER_SECOND_MAX = 2_000  # read into the store: about a tenth of a core
RECENT_BATCH_RECORDS = 50  # between two looks of the event loop at its other work: a few milliseconds
RECENT_METADATA_SECONDS = 30  # until a new partition is noticed
RECENT_RETRY_SECONDS = 5.0  # after the broker failed
RUNBOOK_FILES_MAX = 500
RUNBOOK_BYTES_MAX = 256 * KIB  # of one file
RUNBOOK_SECTIONS_MAX = 3  # given back by one look-up
SQL_STEPS = 1_000  # of SQLite's machine between two looks at the clock
SQL_VALUE_BYTES_MAX = MIB  # of one value that a query computes
SQL_PATTERN_BYTES_MAX = 200  # of LIKE and GLOB: matching a long one is one step of the machine, however slow
SQL_TEXT_CHARS_MAX = 500  # shown of one value

# --- the guarantee -------------------------------------------------------------------------------
QUALITY_AUDIT_PROBABILITY_MIN = 0.02  # of an answer below nano: of 25,000 a day 500, which prove the claim of that day
QUALITY_AUDIT_PROBABILITY_LEAST = 0.0005  # however dear the reference: of a million answers a day the same 500
QUALITY_TRIAL_AUDITS = 1_000  # a day, so that a trial may end: a good version needs some 500
QUALITY_TRIAL_WINDOWS = 48.0  # of a trial with so many audits: what is not certified by then may wait
QUALITY_TRIAL_MESSAGES = 2_000  # longer where these are fewer, of a version that is about to be certified
QUALITY_TRIAL_WINDOWS_MAX = 336.0  # and then it is over, however few came: two weeks
QUALITY_AUDITS_PER_EXPIRY = 10  # expected at least: by chance alone none comes in one of 22,000 such times
QUALITY_EXPIRY_SECONDS = 86_400.0  # without an audit; then a certificate ends
QUALITY_SETTLE_SECONDS = 600.0  # until every worker obeys a new standing; they follow it within seconds
QUALITY_WINDOWS_MIN = 24.0  # that audits are spread over: lines of one hour fail together or not at all
QUALITY_WINDOW_SECONDS = 3_600.0
QUALITY_BURN_IN_AUDITS = 100  # whose scores fix the thresholds of a version, and which certify nothing
QUALITY_FUTILE_AUDITS = 20_000  # a good version needs some 500; one that would take more than this is given up
QUALITY_FUTILE_AFTER = 300  # audits: fewer do not tell what is hopeless
QUALITY_FUTILE_EVERY = 100  # audits, between two looks at it
QUALITY_TRIALS_UNKNOWN = 1_000  # taken for tried where the number is lost: one a day for three years
QUALITY_SIZE_AUDITS_MIN = 20  # of batches at least so large, before what is certified may use them
QUALITY_VERSIONS_MAX = 24  # of a rule, kept; the oldest that does not answer is forgotten
QUALITY_DAYS_MAX = 31  # whose claims are kept
QUALITY_EVENTS_MAX = 50  # kept of what was certified and revoked
QUALITY_WEIGHTS_MAX = 32  # different ones of audits: probabilities are the least one, doubled up to eleven times

# --- console -------------------------------------------------------------------------------------
CONSOLE_DECISIONS_PER_SECOND_MAX = 2_000  # read whole: a twentieth of a core; of more a sample is read
CONSOLE_DECISIONS_BEHIND_MAX = 8_000  # then it skips toward the end: what is seconds old is not live
CONSOLE_LOOKBACK_RECORDS = 6_000  # of a topic: read at the start, so that the page does not begin empty
CONSOLE_SPEND_LOOKBACK_RECORDS = 200_000  # the day's calls so far: read in about three seconds
CONSOLE_LETTERS_LOOKBACK_RECORDS = 200  # dead letters are as large as what they were
CONSOLE_BATCH_RECORDS = 200  # between two looks of the event loop at its other work: about two milliseconds
CONSOLE_FETCH_BYTES = 256 * KIB  # of one partition; a larger record comes alone
CONSOLE_JOURNEYS_MAX = 10_000  # messages whose path can be looked at: about 30 MB
CONSOLE_PASSING_MAX = 2_000  # the same, of those that nobody has to look at; there are a hundred times as many
CONSOLE_ALERTS_MAX = 2_000  # in the inbox; resolved ones go first
CONSOLE_REVISIONS_MAX = 20  # shown of one alert
CONSOLE_LETTERS_MAX = 50  # the latest dead letters
CONSOLE_PAGE_MAX = 100  # entries of any list in one answer
CONSOLE_TEXT_CHARS_MAX = 4_000  # shown of one text
CONSOLE_LAG_SECONDS = 3.0  # between looks at offsets and members of groups
CONSOLE_LAG_KEPT = 20  # such looks: a minute, which tells whether lag grows
CONSOLE_METADATA_SECONDS = 30.0  # until a new partition or topic is noticed
CONSOLE_RETRY_SECONDS = 3.0  # after the broker failed
CONSOLE_SIZES_SECONDS = 20.0  # between samples of the inputs' sizes
CONSOLE_SIZES_RECORDS = 10  # of each partition in one sample
CONSOLE_SIZES_PARTITIONS_MAX = 24  # in one sample, chosen anew each time: parsing mail holds the event loop
CONSOLE_SIZES_KEPT = 500  # sizes of a stream that its mean is of
CONSOLE_STATE_SECONDS = 1.0  # a state is made at most so often, however many look at it
CONSOLE_SESSIONS_MAX = 100  # logged in at a time; the oldest is logged out
CONSOLE_SESSION_SECONDS = 12 * 3_600.0  # a working day
CONSOLE_LOGINS_WRONG_MAX = 10  # of one address in a minute
CONSOLE_ADDRESSES_MAX = 1_000  # whose wrong logins are counted; the oldest is forgotten
CONSOLE_TOKEN_CHARS_MIN = 16
CONSOLE_FORM_BYTES_MAX = 4 * KIB  # of what a browser may send: a token

assert CONSOLE_LOOKBACK_RECORDS < CONSOLE_DECISIONS_BEHIND_MAX, "what is read at the start is not skipped at once"

assert MESSAGE_TEXT_CHARS_MAX <= BATCH_INPUT_CHARS_MAX, "one message must fit a batch"
assert BATCH_MESSAGES_MAX + 4 <= DECISION_QUESTIONS_MAX, "a batch with its control, and the control's three digits"
assert 2 * BATCH_MESSAGES_MAX <= LOOKS_MAX, "a full batch of looks waits while another is under way"
assert BATCH_LINGER_SECONDS_MAX < SHUTDOWN_SECONDS_MAX, "who lingers may still be asked about"
assert ESCALATION_TEXT_CHARS_MAX * 4 * 2 < OUTPUT_RECORD_BYTES_MAX, "four-byte characters, escaped, must fit a record"
assert INPUT_VALUE_BYTES_MAX < DEAD_LETTER_VALUE_BYTES_MAX, "what is refused must fit where it goes"
assert REVOKE_SECONDS_MAX < SHUTDOWN_SECONDS_MAX < 30.0, "shutdown ends inside the pod's grace"
assert OUTPUT_BATCH_BYTES < OUTPUT_RECORD_BYTES_MAX, "a batch of several records is never refused as too large"
assert INPUT_VALUE_BYTES_MAX <= INFLIGHT_BYTES_MAX
assert PARTITION_FETCH_BYTES_MAX <= FETCH_BYTES_MAX <= PREFETCH_BYTES_MAX
assert REPLAY_BYTES_MAX <= DEAD_LETTER_VALUE_BYTES_MAX, "they may all go in one request"
assert REVOKE_SECONDS_MAX * 1000 < TRANSACTION_TIMEOUT_MS
assert TRANSACTION_TIMEOUT_MS + 10_000 < STABLE_OFFSETS_SECONDS_MAX * 1000, "what has not ended by then never will"
assert CONNECT_SECONDS_MAX < CALL_SECONDS_MAX < PROVIDER_OUTAGE_SECONDS_MAX
assert REGISTRY_SECONDS_MAX * REGISTRY_ATTEMPTS_MAX < PROVIDER_OUTAGE_SECONDS_MAX
assert CALLS_IN_FLIGHT_FIRST <= CALLS_IN_FLIGHT_MAX <= GATEWAY_QUEUE_MAX
assert TURN_CHARS_MAX <= MESSAGE_TEXT_CHARS_MAX, "the turn that is judged must be shown"
assert LOG_LINE_CHARS_MAX <= MESSAGE_TEXT_CHARS_MAX
assert SESSION_LINE_CHARS_MAX * 4 <= MESSAGE_TEXT_CHARS_MAX, "some lines of a session are shown"
assert LINE_LAYOUT_BYTES_MAX <= LOG_LINE_CHARS_MAX, "a line that has a layout is shown whole"
assert 0 < AGENT_SUBTASKS_SHARE < 1, "the decision needs its part"
assert RUNBOOK_SECTIONS_MAX * 1_000 <= TOOL_OUTPUT_CHARS_MAX, "a section has room for a procedure"
assert RECENT_LOOKBACK_RECORDS <= RECENT_MESSAGES_MAX, "what is read back is not forgotten at once"
