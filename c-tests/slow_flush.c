/*
 * Preloaded into stmfd: flushing the file of a logical unit (stmf-lu-...) waits while the file $SLOW_GATE exists, and makes the file
 * $SLOW_GATE.reached first. A command that flushes is thus a command that runs for as long as a test wants.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fdatasync(int fd)
{
	const char *gate = getenv("SLOW_GATE");
	char link[64], path[4096] = "";
	int reached;

	snprintf(link, sizeof (link), "/proc/self/fd/%d", fd);
	if (gate != NULL && access(gate, F_OK) == 0 && readlink(link, path, sizeof (path) - 1) > 0 &&
	    strstr(path, "/stmf-lu-") != NULL) {
		snprintf(path, sizeof (path), "%s.reached", gate);
		if ((reached = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) >= 0)
			close(reached);
		while (access(gate, F_OK) == 0)
			usleep(5000);
	}
	return (fsync(fd));
}
