/*
 * A host with two paths to one LU, as Linux multipath behaves: I/O goes down one path; 02/04/0A waits and tries again,
 * 02/04/0B and 02/04/0C change the path, a unit attention is tried again, a lost connection changes the path and logs in anew.
 * Every block that was acknowledged is remembered, with the attempt that was, and every read is verified against it: an
 * earlier attempt that lands later is found, and the attempts at that block are told. The block names the path, so that whoever
 * looks at the disk knows which node wrote it (policy `standby`).
 *
 * Usage: pair_io NAME URL URL SECONDS BLOCKS SEED [both]. `both`: each command takes any path (policy `non-optimized`). Ends with 0 and a line of figures if nothing was lost, nothing was stale,
 * and no I/O took longer than PATIENCE. SIGTERM ends it early, between two I/Os, with the same checks.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

enum {
	BLOCK = 512,
	RUN_MAX = 128,        /* blocks in one command */
	PATIENCE = 60,        /* seconds that one I/O may take, retries included */
	COMMAND_TIMEOUT = 15, /* seconds without an answer until the path is given up: more than a forwarded write lives */
	RETRY_PAUSE_MS = 20,
	LINGER_MS = 5000,     /* a write that was forwarded for a session that broke may happen so long (README, Limits) */
	HISTORY = 1 << 16     /* attempts that are remembered */
};

struct path {
	const char *text;
	struct iscsi_context *iscsi;
	int lun;
};

/* Begins each block that this program wrote; tests/pair.rs looks for it on the disk. */
static const uint64_t MAGIC = 0x6f695f7269617021u;

static struct path paths[2];
static int current;
static const char *initiator;

static uint64_t *written; /* by block: the attempt that was acknowledged last (see stamp), 0 none */
static uint64_t commands, attempts, path_changes, logins, waits, writes_by_path[2];
static int any_path;
static double worst;

/* One attempt, for whoever has to explain a failure. */
struct past {
	double begin, end;
	uint64_t number, lba;
	unsigned blocks, status, sense; /* status as libiscsi tells it; ~0 when there was no session or no task */
	int write, path;
};

static struct past history[HISTORY];

static uint64_t seed;

static uint64_t random64(void)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* SIGTERM is blocked: caught, it would end a wait of libiscsi, and a session with the command that is under way. */
static int stopped(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, SIGTERM) == 1;
}

static void drop(struct path *path)
{
	if (path->iscsi != NULL)
		iscsi_destroy_context(path->iscsi);
	path->iscsi = NULL;
}

static int ready(struct path *path)
{
	struct iscsi_url *url;
	int failed;

	if (path->iscsi != NULL)
		return 1;
	path->iscsi = iscsi_create_context(initiator);
	if (path->iscsi == NULL)
		return 0;
	iscsi_set_noautoreconnect(path->iscsi, 1);
	iscsi_set_timeout(path->iscsi, COMMAND_TIMEOUT);
	iscsi_set_session_type(path->iscsi, ISCSI_SESSION_NORMAL);
	url = iscsi_parse_full_url(path->iscsi, path->text);
	if (url == NULL) {
		fprintf(stderr, "pair_io: %s: %s\n", path->text, iscsi_get_error(path->iscsi));
		exit(2);
	}
	path->lun = url->lun;
	iscsi_set_targetname(path->iscsi, url->target);
	failed = iscsi_connect_sync(path->iscsi, url->portal) != 0 || iscsi_login_sync(path->iscsi) != 0;
	iscsi_destroy_url(url);
	if (failed) {
		drop(path);
		return 0;
	}
	logins++;
	return 1;
}

static void other_path(void)
{
	current = !current;
	path_changes++;
}

/* A block names itself, and the attempt and path that wrote it, all over. */
static void fill(unsigned char *block, uint64_t lba, uint64_t stamp)
{
	uint64_t words[4] = {MAGIC, lba, stamp, ~stamp};
	unsigned i;

	for (i = 0; i < BLOCK; i += sizeof(words))
		memcpy(block + i, words, sizeof(words));
}

/* The attempts at a block that are remembered, the oldest first. */
static void tell(uint64_t lba)
{
	uint64_t n;

	for (n = attempts > HISTORY ? attempts - HISTORY + 1 : 1; n <= attempts; n++) {
		const struct past *past = &history[n % HISTORY];

		if (lba < past->lba || lba >= past->lba + past->blocks)
			continue;
		fprintf(stderr, "  %.3f to %.3f: attempt %llu, %s of %u blocks at %llu, path %d: status %#x, sense %06x\n",
			past->begin, past->end, (unsigned long long)past->number, past->write ? "WRITE" : "READ",
			past->blocks, (unsigned long long)past->lba, past->path, past->status, past->sense);
	}
}

/* One try. 1: done; 0: try again. A write is stamped with the attempt and its path. */
static int attempt(int write, uint64_t lba, unsigned blocks, unsigned char *data)
{
	struct path *path = &paths[current];
	struct scsi_task *task;
	uint32_t length = blocks * BLOCK;
	uint64_t stamp = ++attempts << 1 | (unsigned)current;
	struct past *past = &history[attempts % HISTORY];
	int done = 0;
	unsigned i;

	*past = (struct past){now(), 0, attempts, lba, blocks, ~0u, 0, write, current};
	if (!ready(path)) {
		other_path();
		pause_ms(RETRY_PAUSE_MS);
		return 0;
	}
	for (i = 0; write && i < blocks; i++)
		fill(data + i * BLOCK, lba + i, stamp);
	if (write)
		task = iscsi_write16_sync(path->iscsi, path->lun, lba, data, length, BLOCK, 0, 0, 0, 0, 0);
	else
		task = iscsi_read16_sync(path->iscsi, path->lun, lba, length, BLOCK, 0, 0, 0, 0, 0);
	past->end = now();
	if (task != NULL) {
		past->status = (unsigned)task->status;
		past->sense = (unsigned)task->sense.key << 16 | (unsigned)task->sense.ascq;
	}
	if (task == NULL || (unsigned)task->status > 0xff) {
		/* No answer. The session goes, and with it whatever it still had under way. */
		if (task != NULL)
			scsi_free_scsi_task(task);
		drop(path);
		other_path();
		if (any_path && write)
			pause_ms(LINGER_MS);
		return 0;
	}
	if (task->status == SCSI_STATUS_GOOD) {
		if (!write) {
			if (task->datain.size != (int)length) {
				fprintf(stderr, "pair_io: READ of %u bytes gave %d\n", length, task->datain.size);
				exit(1);
			}
			memcpy(data, task->datain.data, length);
		}
		for (i = 0; write && i < blocks; i++)
			written[lba + i] = stamp;
		writes_by_path[stamp & 1] += write;
		done = 1;
	} else if (task->status == SCSI_STATUS_BUSY || task->status == SCSI_STATUS_TASK_SET_FULL ||
		   task->status == SCSI_STATUS_TASK_ABORTED) {
		pause_ms(RETRY_PAUSE_MS);
	} else if (task->status == SCSI_STATUS_CHECK_CONDITION && task->sense.key == SCSI_SENSE_UNIT_ATTENTION) {
		/* Try again at once. */
	} else if (task->status == SCSI_STATUS_CHECK_CONDITION && task->sense.key == SCSI_SENSE_NOT_READY &&
		   task->sense.ascq == 0x040a) {
		waits++;
		other_path();
		pause_ms(RETRY_PAUSE_MS);
	} else if (task->status == SCSI_STATUS_CHECK_CONDITION && task->sense.key == SCSI_SENSE_NOT_READY &&
		   (task->sense.ascq == 0x040b || task->sense.ascq == 0x040c)) {
		other_path();
		pause_ms(RETRY_PAUSE_MS / 4);
	} else {
		fprintf(stderr, "pair_io: %s at block %llu failed: status %#x, sense %x/%04x\n", write ? "WRITE" : "READ",
			(unsigned long long)lba, (unsigned)task->status, (unsigned)task->sense.key, (unsigned)task->sense.ascq);
		exit(1);
	}
	scsi_free_scsi_task(task);
	return done;
}

static void perform(int write, uint64_t lba, unsigned blocks, unsigned char *data)
{
	double begin = now(), took;

	if (any_path)
		current = (int)(random64() % 2);
	while (!attempt(write, lba, blocks, data)) {
		if (now() - begin > PATIENCE) {
			fprintf(stderr, "pair_io: an I/O did not end within %d s\n", PATIENCE);
			exit(1);
		}
	}
	took = now() - begin;
	if (took > worst)
		worst = took;
	commands++;
}

static void verify(uint64_t lba, unsigned blocks, const unsigned char *data)
{
	unsigned char expected[BLOCK];
	unsigned i;

	for (i = 0; i < blocks; i++) {
		if (written[lba + i] == 0)
			continue;
		fill(expected, lba + i, written[lba + i]);
		if (memcmp(expected, data + i * BLOCK, BLOCK) != 0) {
			uint64_t words[3];

			memcpy(words, data + i * BLOCK, sizeof(words));
			fprintf(stderr, "pair_io: block %llu holds attempt %llu (magic %s, block %llu), acknowledged was attempt %llu\n",
				(unsigned long long)(lba + i), (unsigned long long)(words[2] >> 1),
				words[0] == MAGIC ? "right" : "wrong", (unsigned long long)words[1],
				(unsigned long long)(written[lba + i] >> 1));
			tell(lba + i);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	static unsigned char data[RUN_MAX * BLOCK];
	uint64_t blocks, lba;
	sigset_t signals;
	double end;

	if (argc != 7 && !(argc == 8 && strcmp(argv[7], "both") == 0)) {
		fprintf(stderr, "usage: pair_io NAME URL URL SECONDS BLOCKS SEED [both]\n");
		return 2;
	}
	any_path = argc == 8;
	initiator = argv[1];
	paths[0].text = argv[2];
	paths[1].text = argv[3];
	end = now() + atof(argv[4]);
	blocks = strtoull(argv[5], NULL, 10);
	seed = strtoull(argv[6], NULL, 10);
	written = calloc(blocks, sizeof(*written));
	if (written == NULL || blocks < RUN_MAX)
		return 2;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	while (!stopped() && now() < end) {
		unsigned run = 1 + (unsigned)(random64() % RUN_MAX);

		lba = random64() % (blocks - run + 1);
		if (random64() % 2 == 0) {
			perform(1, lba, run, data);
		} else {
			perform(0, lba, run, data);
			verify(lba, run, data);
		}
	}
	/* Everything once more, through either path. */
	for (lba = 0; lba + RUN_MAX <= blocks; lba += RUN_MAX) {
		perform(0, lba, RUN_MAX, data);
		verify(lba, RUN_MAX, data);
	}
	printf("commands %llu, writes %llu and %llu, path changes %llu, logins %llu, waits %llu, worst %.0f ms\n",
	       (unsigned long long)commands, (unsigned long long)writes_by_path[0],
	       (unsigned long long)writes_by_path[1], (unsigned long long)path_changes,
	       (unsigned long long)logins, (unsigned long long)waits, worst * 1000);
	return 0;
}
