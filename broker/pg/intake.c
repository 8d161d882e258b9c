#include "pg/intake.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

static _Thread_local struct pg_intake *counting;

void pg_intake_begin(struct pg_intake *intake)
{
    counting = intake;
}

void pg_intake_end(void)
{
    counting = NULL;
}

/* Whether anything is there that may not come any more; its length is as of recv(). */
static ssize_t refuse_more(struct pg_intake *intake, int socket, int flags)
{
    char byte;
    ssize_t len = recvfrom(socket, &byte, sizeof(byte), flags | MSG_PEEK, NULL, NULL);

    if (len <= 0)
        return len;
    intake->is_over = true;
    errno = EMSGSIZE;
    return -1;
}

/* By this name libc's headers may have an inline one. */
ssize_t counted_recv(int socket, void *bytes, size_t len, int flags) __asm__("recv")
    __attribute__((visibility("default"), used));

ssize_t counted_recv(int socket, void *bytes, size_t len, int flags)
{
    struct pg_intake *intake = counting;
    ssize_t got;

    if (!intake)
        return recvfrom(socket, bytes, len, flags, NULL, NULL);
    if (intake->left == 0)
        return refuse_more(intake, socket, flags);
    if (len > intake->left)
        len = intake->left;
    got = recvfrom(socket, bytes, len, flags, NULL, NULL);
    if (got > 0 && (flags & MSG_PEEK) == 0) {
        intake->left -= (size_t)got;
        intake->taken += (size_t)got;
    }
    return got;
}
