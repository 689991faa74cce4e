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
RULE_TEXT_CHARS_MAX = 4_000  # what a rule's regular expression sees: its time may grow with the square of the text
LOG_LINE_CHARS_MAX = 4_000  # longer lines are stack traces or dumps: the beginning tells
ESCALATION_TEXT_CHARS_MAX = 48_000  # an agent reads one message at a time and may see more of it
WINDOW_TURNS_MAX = 100  # turns of a conversation that a policy may ask for
CONVERSATIONS_MAX = 20_000  # open conversations a partition; the oldest is closed first
LOOKBACK_RECORDS_MAX = 2_000  # input records re-read a partition to rebuild dialogue windows after a restart
TURN_CHARS_MAX = 4_000  # of one turn as a window keeps it; longer turns are pasted documents
WINDOW_CHARS_MAX = 32 * MIB  # of all open conversations of a partition; the oldest is closed first
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
KNOWN_DECISIONS_MAX = 16_384  # a stream: decisions kept as JSON, to be given again: about 20 MB, at most 60
KNOWN_DECISION_CHARS_MAX = 2_000  # of one of them: a log line's has about 500
RECENT_MESSAGES_MAX = 50_000  # the agents' local store of recent messages: about 60 MB

# --- engine --------------------------------------------------------------------------------------
COMMIT_METADATA_CHARS_MAX = 4_096  # the broker's offset.metadata.max.bytes; 4,097 is refused and kills the producer
PRODUCERS_MAX = 2  # a worker: while one commits the other fills; with more of them transactions crowd the broker
TRANSACTION_RECORDS_MAX = 20_000  # inputs whose results are gathered for one transaction
TRANSACTION_BYTES_MAX = 8 * MIB  # of their outputs, about; one output may exceed it
TRANSACTION_INTERVAL_SECONDS = 0.02  # from one transaction's begin to the next, at least; four round trips take half
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
HOLD_SECONDS = 15.0  # between looks at a closed account or a refused key
BROKER_ANSWER_SECONDS_MAX = 5.0  # of one request to a broker; then its address is taken for wrong
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
BATCH_INPUT_CHARS_MAX = 48_000  # of all messages in one call: bounds latency and what one failed call wastes
BATCH_LINGER_SECONDS_MAX = 1.0  # longer, and records in flight pile up: at 16 messages a second a batch is full anyway
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
OUTPUT_TOKENS_DEFAULT = 4_096  # of a call that names no bound: without one its worst cost is unknown
SPEND_QUEUE_MAX = 10_000  # spend records waiting for the broker: minutes of an outage at full rate

assert RULE_TEXT_CHARS_MAX >= LOG_LINE_CHARS_MAX, "a rule sees the whole of a log line"

# --- schema registry -----------------------------------------------------------------------------
REGISTRY_SCHEMAS_MAX = 1_000  # kept ready; ids never change their meaning, and a topic has a handful
REGISTRY_REFERENCES_MAX = 50  # schemas that one schema is made of
REGISTRY_REPLY_BYTES_MAX = 4 * MIB  # a longer answer is no schema
REGISTRY_SECONDS_MAX = 10.0  # one request
REGISTRY_ATTEMPTS_MAX = 3  # of one request, before the record waits as for a provider that is away
REGISTRY_REFUSED_SECONDS = 30.0  # an id that is not there is not asked for again before: a registry may lag behind
AVRO_DEPTH_MAX = 32  # types within types: the reader goes down with them on the machine's own stack

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
assert LINE_LAYOUT_BYTES_MAX <= LOG_LINE_CHARS_MAX, "a line that has a layout is shown whole"
assert 0 < AGENT_SUBTASKS_SHARE < 1, "the decision needs its part"
assert RUNBOOK_SECTIONS_MAX * 1_000 <= TOOL_OUTPUT_CHARS_MAX, "a section has room for a procedure"
assert RECENT_LOOKBACK_RECORDS <= RECENT_MESSAGES_MAX, "what is read back is not forgotten at once"
