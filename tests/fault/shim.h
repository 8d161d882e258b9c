#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/**
 * A disk that fails when it is told to, and that remembers what was made durable.
 *
 * The shim is a shared library whose open(), write(), fdatasync(), rename() and so on stand before
 * the C library's: a test program links it, a broker gets it by LD_PRELOAD (with the address
 * sanitizer's verify_asan_link_order=0). It does nothing to files outside of one folder.
 *
 * What it is to do stands in a control block in shared memory: a test program makes it with
 * fault_begin(), for a broker it is the file that STAGEPASS_FAULT_CONTROL names, which whoever
 * started it can map and change while it runs. Behind the block is the journal: every operation
 * that changed the folder, in order, from which `disk.h` makes what a loss of power may leave.
 */

/** What can be done to the folder; the first are those that can fail. */
enum fault_operation {
    FAULT_WRITE,    /* write() and pwrite() */
    FAULT_SYNC,     /* fsync() and fdatasync() of a file */
    FAULT_SYNC_DIR, /* of a folder */
    FAULT_RENAME,
    FAULT_TRUNCATE, /* ftruncate(), and O_TRUNC of what is there */
    FAULT_ALLOCATE, /* fallocate() */
    FAULT_CREATE,   /* open() that makes a file */
    FAULT_MKDIR,
    FAULT_UNLINK,
    FAULT_RMDIR,
    FAULT_OPERATION_COUNT,

    FAULT_SYNC_FAILED = 32, /* only in the journal: no later success makes up for it */
    FAULT_NOTE,             /* only in the journal: what a test wrote into it */
};

enum fault_mode {
    FAULT_NEVER,
    FAULT_ERROR,       /* fail with `error` */
    FAULT_SHORT,       /* a write writes half, everything else fails with `error` */
    FAULT_KILL,        /* SIGKILL before it is done */
    FAULT_KILL_HALF,   /* in the middle of a write, before everything else */
    FAULT_KILL_BEHIND, /* when it is done */
    FAULT_LIE,         /* a sync says that it was done, and was not */
};

#define FAULT_ROOT_MAX 256
#define FAULT_MAGIC UINT64_C(0x53504641554c5432)

/** Every field is 8 bytes at a place that never changes: other languages read and write it too. */
struct fault_control {
    uint64_t magic;
    uint64_t capacity;         /* of the journal, in bytes; 0: none is kept */
    _Atomic uint64_t used;     /* of it */
    _Atomic uint64_t overflow; /* whether something found no place in it */
    _Atomic uint64_t count;    /* operations that could have failed so far */
    _Atomic uint64_t fired;    /* how many did */
    _Atomic uint64_t mode;     /* enum fault_mode */
    _Atomic uint64_t kinds;    /* bits (1 << enum fault_operation) of those that count */
    _Atomic uint64_t at;       /* the first that fails, from 1 */
    _Atomic uint64_t times;    /* how many fail, that one and what follows it */
    _Atomic uint64_t error;    /* errno */
    _Atomic int64_t space;     /* bytes that files may grow by; below 0: any */
    _Atomic uint64_t paused;   /* not 0: the disk is as any other, and nothing is written down */
    char root[FAULT_ROOT_MAX]; /* absolute, without a slash at its end */
    uint8_t journal[];
};

#define FAULT_ALL_KINDS ((UINT64_C(1) << FAULT_OPERATION_COUNT) - 1)

/**
 * One record of the journal; behind it `name_len` and `data_len` bytes and zeros up to a multiple
 * of 8. A write of zeros has no data. Names are relative to the root and as they were at that time;
 * a rename's are both, with a NUL between them.
 */
struct fault_record {
    uint32_t operation;
    uint32_t name_len;
    uint64_t offset; /* of a write or allocation; the new length of a file */
    uint64_t len;    /* of a write or allocation */
    uint64_t data_len;
};

/** Bytes of a whole record. */
static inline size_t fault_record_len(const struct fault_record *record)
{
    return (sizeof(*record) + record->name_len + record->data_len + 7) / 8 * 8;
}

/** A control block in shared memory with a journal of so many bytes; children share it. */
struct fault_control *fault_begin(const char *root, size_t journal_bytes);
void fault_end(struct fault_control *control);

/** Write something of the test's into the journal. */
void fault_note(const void *bytes, size_t len);
