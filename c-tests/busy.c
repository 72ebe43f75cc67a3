/*
 * What is on its way, or cannot come to an end, is busy. A host sends a command that runs for as long as this program wants: stmfd
 * flushes slowly (slow_flush.c). Usage: busy iscsi://HOST:PORT/TARGET, with the gate of stmfd in $SLOW_GATE.
 */
#include <libstmf.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <fcntl.h>
#include "backing.h"
#include "check.h"

#define BUSY(call, cause) CALL_FOR(call, STMF_ERROR_BUSY, cause)
#define GOOD(call) CALL(call, STMF_STATUS_SUCCESS)
#define PATIENCE 30000

static const char *gate, *target_url;
static char reached[4096];
static stmfGuid lu;
static stmfDevid target;

static void pause_10ms(void)
{
	const struct timespec time = {0, 10 * 1000 * 1000};

	nanosleep(&time, NULL);
}

/* A host: logs in and flushes; it does not come to the end of that. */
static void flush_as_host(void)
{
	struct iscsi_context *iscsi = iscsi_create_context("iqn.2026-01.test:busy");
	struct iscsi_url *url;
	char text[4096];

	snprintf(text, sizeof (text), "%s/0", target_url);
	if (iscsi == NULL || (url = iscsi_parse_full_url(iscsi, text)) == NULL)
		_exit(1);
	iscsi_set_targetname(iscsi, url->target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	if (iscsi_full_connect_sync(iscsi, url->portal, url->lun) != 0) {
		fprintf(stderr, "busy: %s\n", iscsi_get_error(iscsi));
		_exit(1);
	}
	iscsi_synchronizecache10_sync(iscsi, url->lun, 0, 0, 0, 0);
	_exit(0);
}

/* From here to `let_go` a command runs. */
static pid_t hold(void)
{
	int file = open(gate, O_CREAT | O_WRONLY, 0600), i;
	pid_t host;

	TRUE(file >= 0 && close(file) == 0);
	fflush(stdout);
	if ((host = fork()) == 0)
		flush_as_host();
	for (i = 0; i < PATIENCE / 10 && access(reached, F_OK) != 0; i++)
		pause_10ms();
	TRUE(access(reached, F_OK) == 0);
	return (host);
}

static void let_go(pid_t host)
{
	TRUE(unlink(gate) == 0);
	unlink(reached);
	kill(host, SIGKILL);
	TRUE(waitpid(host, NULL, 0) == host);
}

static void prepare(struct backing *file)
{
	luResource hdl = NULL;
	stmfViewEntry ve;
	char name[256];

	snprintf(reached, sizeof (reached), "%s.reached", gate);
	snprintf(name, sizeof (name), "%s", strrchr(target_url, '/') + 1);
	GOOD(stmfDevidFromIscsiName(name, &target));
	backing_make(file, 2 * MIB);
	GOOD(stmfCreateLuResource(STMF_DISK, &hdl));
	GOOD(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, file->path));
	GOOD(stmfCreateLu(hdl, &lu));
	GOOD(stmfFreeLuResource(hdl));
	memset(&ve, 0, sizeof (ve));
	ve.allHosts = ve.allTargets = B_TRUE;
	GOOD(stmfAddViewEntry(&lu, &ve));
}

static void lu_stands_down(void)
{
	pid_t host = hold();

	BUSY(stmfxLuStandDown(&lu, 50), "commands");
	let_go(host);
	GOOD(stmfxWaitLuAccess(&lu, STMF_ACCESS_ACTIVE, PATIENCE));
}

static void lu_goes_offline(void)
{
	stmfLogicalUnitProperties props;
	pid_t host = hold();

	BUSY(stmfOfflineLogicalUnit(&lu), "late");
	GOOD(stmfGetLogicalUnitProperties(&lu, &props));
	TRUE(props.status == STMF_LOGICAL_UNIT_OFFLINING);
	GOOD(stmfOfflineLogicalUnit(&lu));
	BUSY(stmfOnlineLogicalUnit(&lu), "opposite");
	BUSY(stmfDeleteLu(&lu), "transition");
	let_go(host);
	/* It went on in the background. */
	GOOD(stmfxWaitLogicalUnit(&lu, STMF_LOGICAL_UNIT_OFFLINE, PATIENCE));
	GOOD(stmfOnlineLogicalUnit(&lu));
}

static void lu_is_deleted(void)
{
	stmfViewEntryList *views = NULL;
	pid_t host = hold();

	BUSY(stmfDeleteLu(&lu), "late");
	let_go(host);
	GOOD(stmfxWaitLogicalUnit(&lu, STMF_LOGICAL_UNIT_OFFLINE, PATIENCE));
	GOOD(stmfGetViewEntryList(&lu, &views));
	TRUE(views->cnt == 1);
	DO(stmfFreeMemory(views));
	GOOD(stmfOnlineLogicalUnit(&lu));
}

static void target_goes_offline(void)
{
	pid_t host = hold();

	GOOD(stmfOfflineTarget(&target));
	GOOD(stmfxWaitTarget(&target, STMF_TARGET_PORT_OFFLINING, 0));
	BUSY(stmfOnlineTarget(&target), "opposite");
	GOOD(stmfOfflineTarget(&target));
	let_go(host);
	GOOD(stmfxWaitTarget(&target, STMF_TARGET_PORT_OFFLINE, PATIENCE));
	GOOD(stmfOnlineTarget(&target));
	GOOD(stmfxWaitTarget(&target, STMF_TARGET_PORT_ONLINE, PATIENCE));
}

static void *go_offline(void *status)
{
	*(int *)status = stmfOffline();
	return (NULL);
}

static void service_goes_offline(void)
{
	pid_t host = hold();
	pthread_t thread;
	int status = -1;

	TRUE(pthread_create(&thread, NULL, go_offline, &status) == 0);
	/* The call itself waits 5 s for the command. */
	GOOD(stmfxWaitService(STMF_SERVICE_STATE_OFFLINING, PATIENCE));
	BUSY(stmfOnline(), "way");
	BUSY(stmfOffline(), "way");
	BUSY(stmfOnlineLogicalUnit(&lu), "service");
	BUSY(stmfOfflineLogicalUnit(&lu), "service");
	BUSY(stmfOnlineTarget(&target), "service");
	BUSY(stmfOfflineTarget(&target), "service");
	CALL(stmfLoadConfig(), STMF_ERROR_SERVICE_ONLINE);
	let_go(host);
	TRUE(pthread_join(thread, NULL) == 0 && status == STMF_STATUS_SUCCESS);
	GOOD(stmfxWaitService(STMF_SERVICE_STATE_OFFLINE, PATIENCE));
	GOOD(stmfOnline());
	GOOD(stmfxWaitService(STMF_SERVICE_STATE_ONLINE, PATIENCE));
}

int main(int argc, char **argv)
{
	struct backing file;

	if (argc != 2 || (gate = getenv("SLOW_GATE")) == NULL)
		return (EXIT_FAILURE);
	target_url = argv[1];
	prepare(&file);
	lu_stands_down();
	lu_goes_offline();
	lu_is_deleted();
	target_goes_offline();
	service_goes_offline();
	GOOD(stmfRemoveViewEntry(&lu, 0));
	GOOD(stmfDeleteLu(&lu));
	backing_remove(&file);
	return (check_end());
}
