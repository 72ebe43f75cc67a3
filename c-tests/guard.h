/* Memory that ends where the process's does: who reads or writes one byte too many is found. */
#ifndef GUARD_H
#define GUARD_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_PAGES 4

/* A copy of the bytes, of which the last is the last that can be read. Stays mapped until the end of the program. */
static inline void *guard_copy(const void *bytes, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = GUARD_PAGES * page;
	char *area = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || size > room || mprotect(area + room, page, PROT_NONE) != 0)
		abort();
	memcpy(area + room - size, bytes, size);
	return (area + room - size);
}

/* That many of one byte, and no NUL behind them. */
static inline void *guard_fill(int byte, size_t size)
{
	char *bytes = malloc(size);
	void *copy;

	if (bytes == NULL)
		abort();
	memset(bytes, byte, size);
	copy = guard_copy(bytes, size);
	free(bytes);
	return (copy);
}

#endif
