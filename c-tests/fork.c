/*
 * A program that forks after it has used the library. With a daemon (argument "shared") the child sees the same
 * configuration, with a framework of its own a fresh one; handles of the parent are not the child's.
 */
#include <libstmf.h>
#include <door.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "backing.h"
#include "check.h"

static void take_message(void *cookie, char *data, size_t size, door_desc_t *desc, unsigned int count)
{
	(void) cookie;
	(void) data;
	(void) size;
	(void) desc;
	(void) count;
	door_return(NULL, 0, NULL, 0);
}

static int groups(void)
{
	stmfGroupList *list = NULL;
	int count;

	if (!CALL(stmfGetHostGroupList(&list), STMF_STATUS_SUCCESS))
		return (-1);
	count = (int)list->cnt;
	stmfFreeMemory(list);
	return (count);
}

static int child(int hdl, int expected)
{
	char message[] = "x";
	stmfGroupName name = "made by the child";

	checks_passed = checks_failed = 0;
	CALL(stmfPostProxyMsg(hdl, message, sizeof (message)), STMF_ERROR_INVALID_ARG);
	stmfDestroyProxyDoor(hdl);
	TRUE(groups() == expected);
	CALL(stmfCreateHostGroup(&name), STMF_STATUS_SUCCESS);
	TRUE(groups() == expected + 1);
	CALL(stmfDeleteHostGroup(&name), STMF_STATUS_SUCCESS);
	return (check_end());
}

/*
 * A process that installed a door is killed while a child of its own lives on, which never calls the library: the door must
 * go with the process that installed it.
 */
static void killed_owner(int door)
{
	int hdl = -1, ready[2], hold[2];
	char byte = 0;
	pid_t pid;

	TRUE(pipe(ready) == 0 && pipe(hold) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		byte = stmfInitProxyDoor(&hdl, door) == STMF_STATUS_SUCCESS && hdl > 0;
		if (byte && fork() > 0)
			pause();
		/* Said by the grandchild: from now on it holds nothing of its parent's. */
		close(hold[1]);
		if (write(ready[1], &byte, 1) == 1 && byte)
			/* Ends when the test does. */
			_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
		_exit(1);
	}
	TRUE(read(ready[0], &byte, 1) == 1 && byte == 1);
	CALL(stmfInitProxyDoor(&hdl, door), STMF_ERROR_DOOR_INSTALLED);
	TRUE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CALL(stmfInitProxyDoor(&hdl, door), STMF_STATUS_SUCCESS);
	stmfDestroyProxyDoor(hdl);
	close(hold[1]);
}

/*
 * A child has copies of all descriptors of its parent until it ends or becomes another program. A logical unit that its parent has
 * given up meanwhile is free all the same, for the next one who wants its files.
 */
static void files_are_free(int separate)
{
	struct backing data, meta;
	luResource hdl = NULL;
	stmfGuid lu, again;
	int hold[2];
	char byte;
	pid_t pid;

	backing_make(&data, 2 * MIB);
	backing_make(&meta, separate ? 0 : 2 * MIB);
	CALL(stmfCreateLuResource(STMF_DISK, &hdl), STMF_STATUS_SUCCESS);
	CALL(stmfSetLuProp(hdl, STMF_LU_PROP_FILENAME, data.path), STMF_STATUS_SUCCESS);
	if (separate)
		CALL(stmfSetLuProp(hdl, STMF_LU_PROP_META_FILENAME, meta.path), STMF_STATUS_SUCCESS);
	CALL(stmfCreateLu(hdl, &lu), STMF_STATUS_SUCCESS);
	TRUE(pipe(hold) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(hold[0]);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfImportLu(STMF_DISK, separate ? meta.path : data.path, &again), STMF_STATUS_SUCCESS);
	TRUE(memcmp(&lu, &again, sizeof (lu)) == 0);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfCreateLu(hdl, &lu), STMF_STATUS_SUCCESS);
	CALL(stmfDeleteLu(&lu), STMF_STATUS_SUCCESS);
	CALL(stmfFreeLuResource(hdl), STMF_STATUS_SUCCESS);
	close(hold[1]);
	TRUE(waitpid(pid, NULL, 0) == pid);
	backing_remove(&data);
	backing_remove(&meta);
}

int main(int argc, char **argv)
{
	int shared = argc > 1 && strcmp(argv[1], "shared") == 0;
	stmfGroupName name = "made by the parent";
	int hdl = -1, second = -1, door, before, status = 0;
	pid_t pid;

	before = groups();
	CALL(stmfCreateHostGroup(&name), STMF_STATUS_SUCCESS);
	door = door_create(take_message, NULL, 0);
	CALL(stmfInitProxyDoor(&hdl, door), STMF_STATUS_SUCCESS);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(child(hdl, shared ? before + 1 : 0));
	TRUE(pid > 0 && waitpid(pid, &status, 0) == pid);
	TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* The child could not destroy what is not its own. */
	CALL(stmfInitProxyDoor(&second, door), STMF_ERROR_DOOR_INSTALLED);
	TRUE(groups() == before + 1);
	stmfDestroyProxyDoor(hdl);
	CALL(stmfInitProxyDoor(&hdl, door), STMF_STATUS_SUCCESS);
	stmfDestroyProxyDoor(hdl);
	if (shared)
		killed_owner(door);
	CALL(stmfDeleteHostGroup(&name), STMF_STATUS_SUCCESS);
	files_are_free(0);
	files_are_free(1);
	return (check_end());
}
