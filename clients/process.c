#include "clients/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/str.h"
#include "clients/variable.h"

#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNALLED 128

extern char **environ;

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int forwarded_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

/* What we were started with, for the programs that we start. Set once, before the first of them. */
static struct rlimit core_limit;
static sigset_t signal_mask;

static void wipe_and_free(void *memory)
{
    if (memory)
        secret_wipe(memory, malloc_usable_size(memory));
    free(memory);
}

bool process_harden(struct error *error)
{
    struct rlimit none;

    if (getrlimit(RLIMIT_CORE, &core_limit) != 0)
        return error_set_errno(error, "cannot read the limit of core dumps");
    none = (struct rlimit){ 0, core_limit.rlim_max };
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_set_errno(error, "cannot switch core dumps off");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set_errno(error, "cannot make the process undumpable");
    json_set_alloc_funcs(malloc, wipe_and_free);
    errno = pthread_sigmask(SIG_SETMASK, NULL, &signal_mask);
    return errno == 0 || error_set_errno(error, "cannot read the signal mask");
}

bool process_catch_signals(int *signals, struct error *error)
{
    sigset_t caught;

    sigemptyset(&caught);
    sigaddset(&caught, SIGCHLD);
    for (size_t i = 0; i < COUNT(forwarded_signals); i++)
        sigaddset(&caught, forwarded_signals[i]);
    errno = pthread_sigmask(SIG_BLOCK, &caught, NULL);
    if (errno != 0)
        return error_set_errno(error, "cannot block signals");
    *signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    return *signals >= 0 || error_set_errno(error, "cannot catch signals");
}

static bool is_one_of(int number, const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

bool process_is_readable(int descriptor, int timeout_ms)
{
    struct pollfd watched = { .fd = descriptor, .events = POLLIN };

    return poll(&watched, 1, timeout_ms) == 1 && (watched.revents & POLLIN);
}

int process_ending_signal(int signals, int timeout_ms)
{
    struct signalfd_siginfo info;

    if (!process_is_readable(signals, timeout_ms))
        return 0;
    while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (is_one_of((int)info.ssi_signo, ending_signals, COUNT(ending_signals)))
            return (int)info.ssi_signo;
    return 0;
}

/* In the child, between fork and exec: async-signal-safe calls only. */
static bool detach(pid_t parent)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

    /* It ends with us however we end. A set-group-id program would drop that, so it is none here.
     */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0 || getppid() != parent)
        return false;
    return nowhere >= 0 && setsid() >= 0 && dup2(nowhere, STDIN_FILENO) >= 0 &&
           dup2(nowhere, STDOUT_FILENO) >= 0 && dup2(nowhere, STDERR_FILENO) >= 0;
}

/* Likewise. */
static void become(enum process_role role, char *const argv[], char **environment, int failures,
                   pid_t parent)
{
    int why;

    (void)setrlimit(RLIMIT_CORE, &core_limit); /* as it was: cannot fail */
    environ = environment;
    if ((role == PROCESS_COMMAND || detach(parent)) &&
        pthread_sigmask(SIG_SETMASK, &signal_mask, NULL) == 0)
        (void)execvp(argv[0], argv); /* returns only where it failed */
    why = errno;
    if (write(failures, &why, sizeof(why)) < 0)
        _exit(EXIT_CANNOT_RUN);
    _exit(EXIT_NOT_FOUND);
}

/* The child's errno, or 0: the pipe closes without a word when the program runs. */
static int read_failure(int pipe_end)
{
    int why = 0;
    ssize_t got;

    do
        got = read(pipe_end, &why, sizeof(why));
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(why) ? why : 0;
}

static bool fail_start(const char *program, pid_t child, int why, int *exit_code,
                       struct error *error)
{
    if (child > 0)
        (void)waitpid(child, NULL, 0); /* it has ended: only its entry is to go */
    *exit_code = why == ENOENT || why == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
    errno = why;
    return error_set_errno(error, "cannot run '%s'", program);
}

/* Folders may be entered, which the same bits say, but not run. */
static int try_path(const char *path)
{
    struct stat status;

    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return errno;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? EACCES : 0;
}

/* As execvp() looks: what may not be run counts where nothing else is found. */
static int search(const char *program, struct str folders)
{
    char path[PATH_MAX];
    bool has_more = true;
    int why = ENOENT;

    while (why != 0 && has_more) {
        struct str folder;
        int found;
        int len;

        has_more = str_cut(folders, ':', &folder, &folders);
        len = snprintf(path, sizeof(path), STR_FMT "%s%s", STR_ARG(folder),
                       folder.len > 0 ? "/" : "", program);
        if (len < 0 || (size_t)len >= sizeof(path))
            return 0; /* who runs it will tell */
        found = try_path(path);
        if (found == 0 || found == EACCES)
            why = found;
    }
    return why;
}

bool process_find(const char *program, int *exit_code, struct error *error)
{
    const char *folders = variable_get("PATH");
    int why = 0;

    if (strchr(program, '/'))
        why = try_path(program);
    else if (folders)
        why = search(program, str_from(folders));
    return why == 0 || fail_start(program, 0, why, exit_code, error);
}

bool process_start(enum process_role role, char *const argv[], char **environment, pid_t *child,
                   int *exit_code, struct error *error)
{
    int failures[2];
    pid_t parent = getpid();
    pid_t started;
    int why;

    if (pipe(failures) != 0)
        return fail_start(argv[0], 0, errno, exit_code, error);
    (void)fcntl(failures[0], F_SETFD, FD_CLOEXEC); /* a good descriptor: cannot fail */
    (void)fcntl(failures[1], F_SETFD, FD_CLOEXEC);
    started = fork();
    if (started == 0)
        become(role, argv, environment, failures[1], parent);
    why = started < 0 ? errno : 0;
    (void)close(failures[1]); /* nothing was written by us */
    if (started > 0)
        why = read_failure(failures[0]);
    (void)close(failures[0]); /* read-only, nothing to lose */
    if (why != 0)
        return fail_start(argv[0], started, why, exit_code, error);
    *child = started;
    return true;
}

static void pass_on(pid_t child, int signals)
{
    struct signalfd_siginfo info;

    while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        bool is_from_terminal = info.ssi_code == SI_KERNEL;

        if (!is_from_terminal &&
            is_one_of((int)info.ssi_signo, forwarded_signals, COUNT(forwarded_signals)))
            (void)kill(child, (int)info.ssi_signo); /* where it has ended we see that next */
    }
}

static bool has_ended(pid_t child, int *exit_code)
{
    int status;

    if (waitpid(child, &status, WNOHANG) != child)
        return false;
    *exit_code = WIFSIGNALED(status) ? EXIT_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

/* Until something happens; what happened is seen to. */
static void look(pid_t child, int signals, const struct process_watch *watches, size_t count)
{
    struct pollfd watched[PROCESS_WATCHES_MAX + 1] = { { .fd = signals, .events = POLLIN } };

    for (size_t i = 0; i < count; i++)
        watched[i + 1] = (struct pollfd){ .fd = *watches[i].descriptor, .events = POLLIN };
    if (poll(watched, (nfds_t)count + 1, -1) < 0)
        return;
    if (watched[0].revents & POLLIN)
        pass_on(child, signals);
    for (size_t i = 0; i < count; i++)
        if (watched[i + 1].revents & POLLIN)
            watches[i].is_readable(watches[i].context);
}

int process_wait(pid_t child, int signals, const struct process_watch *watches, size_t count)
{
    int exit_code;

    while (!has_ended(child, &exit_code))
        look(child, signals, watches, count);
    return exit_code;
}
