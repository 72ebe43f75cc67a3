/*
 * The jump of door_return.
 *
 * On success door_return does not come back: the stack of the finished call is gone, and the thread takes the next call.
 * A server procedure may also end its thread (pthread_exit, cancellation), or just return. In all these cases frames are
 * jumped over or unwound, so all of them must be C: the exported door_return is a bare jump to stmf_door_return, and
 * everything else that is Rust is called from here and comes back before the procedure runs.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* A call, ready to run. */
struct upcall {
	void (*procedure)(void *, char *, size_t, void *, unsigned int);
	void *cookie;
	char *data;
	size_t size;
	void *descriptors;
	unsigned int count;
};

/* The part in Rust. Each returns 0 or an error number. */
struct operations {
	/* Answers the call in progress of this thread. -1: done, but the caller had given up and cancellation was requested. */
	int (*finish)(const char *, size_t, const void *, unsigned int);
	/* Waits for the next call. */
	int (*next)(struct upcall *);
	/* The call in progress ends without an answer. */
	void (*abandon)(void);
	/* Binds this thread to a private door. */
	int (*bind)(uint64_t door);
};

/* What a new thread is to do. Laid out like Start in thread.rs. */
struct start {
	const struct operations *operations;
	uint64_t door; /* the private door that it serves, or 0 */
	void (*setup)(void *);
	void *cookie;
	int expendable; /* another one is made when the pool needs it */
};

/* Where the stack of this thread's calls begins; NULL while it is not in a server procedure. */
static __thread jmp_buf *base;
/* The cancellation state that server procedures of this thread run with. */
static __thread int cancel_state;
/* This thread may end whenever it is between two calls. */
static __thread int expendable;

int stmf_door_return(const char *data, size_t size, const void *descriptors, unsigned int count,
    const struct operations *operations);
int stmf_door_start(const struct start *start);
void *stmf_door_thread(void *argument);

/* Serves calls until there is nothing to serve any more. */
static int serve(const struct operations *operations)
{
	jmp_buf here;
	struct upcall call;
	int error;

	base = &here;
	(void)_setjmp(here);
	/* Here begins each turn, the first and those after a door_return. */
	error = operations->next(&call);
	if (error != 0) {
		base = NULL;
		pthread_setcancelstate(cancel_state, NULL);
		errno = error;
		return -1;
	}
	pthread_setcancelstate(cancel_state, NULL);
	call.procedure(call.cookie, call.data, call.size, call.descriptors, call.count);
	/* It returned without door_return. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	operations->abandon();
	base = NULL;
	pthread_exit(NULL);
}

int stmf_door_return(const char *data, size_t size, const void *descriptors, unsigned int count,
    const struct operations *operations)
{
	int error;
	int state;

	/* No cancellation while Rust code runs: it must not be unwound. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	error = operations->finish(data, size, descriptors, count);
	if (error == -1) {
		/* The request stays pending, and must not hit the next call instead of this one. */
		if (state == PTHREAD_CANCEL_ENABLE) {
			pthread_setcancelstate(state, NULL);
			pthread_testcancel();
			pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		}
		if (expendable) {
			operations->abandon();
			base = NULL;
			pthread_exit(NULL);
		}
	} else if (error != 0) {
		pthread_setcancelstate(state, NULL);
		errno = error;
		return -1;
	}
	cancel_state = state;
	if (base != NULL)
		_longjmp(*base, 1);
	return serve(operations);
}

/* The start of each thread that this library makes, and the start function given to creation functions of door_xcreate. */
void *stmf_door_thread(void *argument)
{
	struct start start = *(struct start *)argument;

	free(argument);
	expendable = start.expendable;
	if (start.setup != NULL)
		start.setup(start.cookie);
	else
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (start.door == 0 || start.operations->bind(start.door) == 0)
		(void)stmf_door_return(NULL, 0, NULL, 0, start.operations);
	return NULL;
}

/* Starts a detached thread with the default stack and the caller's signal mask. `start` is from malloc; it is taken. */
int stmf_door_start(const struct start *start)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	error = pthread_attr_init(&attributes);
	if (error == 0) {
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		error = pthread_create(&thread, &attributes, stmf_door_thread, (void *)(uintptr_t)start);
		pthread_attr_destroy(&attributes);
	}
	if (error != 0)
		free((void *)(uintptr_t)start);
	return error;
}
