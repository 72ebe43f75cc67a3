/*
 * Doors: types and constants. Programs include <door.h>.
 */
#ifndef STMF_SYS_DOOR_H
#define STMF_SYS_DOOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Attributes for door_create and door_xcreate. */
#define DOOR_UNREF 0x01u       /* notify once when one descriptor is left */
#define DOOR_PRIVATE 0x02u     /* threads of its own */
#define DOOR_UNREF_MULTI 0x10u /* notify each time one descriptor is left */
#define DOOR_REFUSE_DESC 0x40u /* no descriptors in calls */
#define DOOR_NO_CANCEL 0x80u   /* a server thread is not cancelled when its caller gives up */
/* Attributes for door_xcreate only. */
#define DOOR_NO_DEPLETION_CB 0x100u
#define DOOR_PRIVCREATE 0x200u
/* Attributes that are only reported. */
#define DOOR_LOCAL 0x04u
#define DOOR_REVOKED 0x08u
#define DOOR_IS_UNREF 0x20u
#define DOOR_DEPLETION_CB 0x400u

#define DOOR_CREATE_MASK 0x3d3u
#define DOOR_ATTR_MASK 0x3ffu

/* Attributes of a passed descriptor. */
#define DOOR_DESCRIPTOR 0x10000u /* it is a file descriptor */
#define DOOR_RELEASE 0x40000u    /* it is closed in the sender */

#define DOOR_INVAL (-1) /* no descriptor */
#define DOOR_QUERY (-2) /* for door_info: the door that the calling thread is bound to */

/* The data pointer of an unreferenced notification. */
#define DOOR_UNREF_DATA ((void *)1)

/* Parameters. */
#define DOOR_PARAM_DESC_MAX 1
#define DOOR_PARAM_DATA_MAX 2
#define DOOR_PARAM_DATA_MIN 3

typedef uint64_t door_ptr_t;
typedef uint64_t door_id_t;
typedef uint32_t door_attr_t;

#pragma pack(push, 4)

/* A passed descriptor, 24 bytes. */
typedef struct door_desc {
	door_attr_t d_attributes;
	union {
		struct {
			int d_descriptor;
			door_id_t d_id; /* of a door that was received: its number */
		} d_desc;
		int d_resv[5];
	} d_data;
} door_desc_t;

/* What door_info tells, 48 bytes. */
typedef struct door_info {
	pid_t di_target;             /* the server, -1 when it has gone */
	door_ptr_t di_proc;          /* its server procedure */
	door_ptr_t di_data;          /* its cookie */
	door_attr_t di_attributes;
	door_id_t di_uniquifier;     /* unique on the system */
	int di_resv[4];
} door_info_t;

#pragma pack(pop)

/* Arguments and results of door_call, 48 bytes. */
typedef struct door_arg {
	char *data_ptr;
	size_t data_size;
	door_desc_t *desc_ptr;
	unsigned int desc_num;
	char *rbuf;
	size_t rsize;
} door_arg_t;

/* The immediate caller, 36 bytes. */
typedef struct door_cred {
	uid_t dc_euid;
	gid_t dc_egid;
	uid_t dc_ruid;
	gid_t dc_rgid;
	pid_t dc_pid;
	int dc_resv[4];
} door_cred_t;

#ifdef __cplusplus
}
#endif

#endif
