"""Every limit, with its reason; the relations between them are asserted at the end."""

KIB = 1024
MIB = 1024 * KIB

# --- records -------------------------------------------------------------------------------------
INPUT_VALUE_BYTES_MAX = (
    64 * MIB
)  # a larger input is a dead letter `too_large`; reading one takes about four times its size
MAIL_PARSE_BYTES_MAX = 4 * MIB  # a raw mail is cut here before it is parsed: attachments come last
OUTPUT_RECORD_BYTES_MAX = 1_000_000  # a topic's default message.max.bytes is 1,048,588; headers and framing need room
DEAD_LETTER_VALUE_BYTES_MAX = 99 * MIB  # byte for byte; a broker's socket.request.max.bytes is 100 MiB
MESSAGE_TEXT_CHARS_MAX = 12_000  # what a model is shown of one message: about 3,000 tokens of prose
LOG_LINE_CHARS_MAX = 4_000  # longer lines are stack traces or dumps: the beginning tells
ESCALATION_TEXT_CHARS_MAX = 48_000  # an agent reads one message at a time and may see more of it
WINDOW_TURNS_MAX = 100  # turns of a conversation that a policy may ask for
CONVERSATIONS_MAX = 20_000  # open conversations a partition; the oldest is closed first
LOOKBACK_RECORDS_MAX = 2_000  # input records re-read a partition to rebuild dialogue windows after a restart

# --- one process ---------------------------------------------------------------------------------
INFLIGHT_RECORDS_MAX = 1_000  # a partition: taken from Kafka and not yet committed
INFLIGHT_BYTES_MAX = 64 * MIB  # a partition, by value size
MEMORY_ENTRIES_MAX = 200_000  # exact memory: about 100 MB at 500 bytes an entry
RECENT_MESSAGES_MAX = 50_000  # the agents' local store of recent messages

# --- engine --------------------------------------------------------------------------------------
COMMIT_METADATA_CHARS_MAX = 4_096  # the broker's offset.metadata.max.bytes; 4,097 is refused and kills the producer
TRANSACTION_TIMEOUT_MS = 10_000  # an abandoned transaction hides every other record of its partitions for that long
REVOKE_SECONDS_MAX = 1.5  # a rebalance is eager: every member waits for the slowest to let go
SHUTDOWN_SECONDS_MAX = 20.0  # SIGTERM to exit; a pod's grace (30 s) is longer
ATTEMPTS_MAX = 4  # of one record that fails by itself (invalid answers, internal errors); then dead-letters
PROVIDER_OUTAGE_SECONDS_MAX = 3_600.0  # a record whose calls find no provider this long is a dead letter
HOLD_SECONDS = 15.0  # between looks at a closed account or a refused key

# --- models --------------------------------------------------------------------------------------
BATCH_MESSAGES_MAX = 32  # beyond it errors grow and little is saved (BatchPrompt; FACTS "batches")
BATCH_INPUT_CHARS_MAX = 48_000  # of all messages in one call: bounds latency and what one failed call wastes
CALL_ATTEMPTS_MAX = 6  # of one HTTP call: 429, 5xx, timeouts
CALL_SECONDS_MAX = 60.0  # one HTTP call
RETRY_AFTER_SECONDS_MAX = 120.0  # a longer Retry-After is cut to this and tried again
GATEWAY_QUEUE_MAX = 2_000  # calls waiting for a limit; more are refused to the caller, who keeps its record

assert MESSAGE_TEXT_CHARS_MAX <= BATCH_INPUT_CHARS_MAX, "one message must fit a batch"
assert ESCALATION_TEXT_CHARS_MAX * 4 * 2 < OUTPUT_RECORD_BYTES_MAX, "four-byte characters, escaped, must fit a record"
assert INPUT_VALUE_BYTES_MAX < DEAD_LETTER_VALUE_BYTES_MAX, "what is refused must fit where it goes"
assert REVOKE_SECONDS_MAX < SHUTDOWN_SECONDS_MAX < 30.0, "shutdown ends inside the pod's grace"
assert REVOKE_SECONDS_MAX * 1000 < TRANSACTION_TIMEOUT_MS
assert CALL_SECONDS_MAX < PROVIDER_OUTAGE_SECONDS_MAX
