#include "pg/rehearsal.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local bool is_rehearsing;

void pg_rehearsal_begin(void)
{
    is_rehearsing = true;
}

void pg_rehearsal_end(void)
{
    is_rehearsing = false;
}

/* By this name libc's headers have theirs. */
int guarded_connect(int socket, const struct sockaddr *address, socklen_t len) __asm__("connect")
    __attribute__((visibility("default"), used));

int guarded_connect(int socket, const struct sockaddr *address, socklen_t len)
{
    if (!is_rehearsing)
        return (int)syscall(SYS_connect, socket, address, len);
    errno = ECONNREFUSED;
    return -1;
}
