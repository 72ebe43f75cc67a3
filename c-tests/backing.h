/* An empty file of a given size in the temporary directory, to back a logical unit. */
#ifndef BACKING_H
#define BACKING_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB (1024L * 1024L)

struct backing {
	char path[4096];
};

static inline void backing_make(struct backing *file, long size)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(file->path, sizeof (file->path), "%s/stmf-lu-XXXXXX", dir != NULL ? dir : "/tmp");
	fd = mkstemp(file->path);
	if (fd == -1 || ftruncate(fd, size) != 0) {
		perror(file->path);
		exit(EXIT_FAILURE);
	}
	close(fd);
}

static inline void backing_remove(struct backing *file)
{
	unlink(file->path);
}

#endif
