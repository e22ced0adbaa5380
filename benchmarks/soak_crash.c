/* Counts a process's calls that touch one folder, and ends it by SIGKILL before or after the n-th of a kind,
   or makes each of them wait.

   For LD_PRELOAD, so that it sees the calls of Python, C++ and Rust alike. Nothing happens before `arm`. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, WRITE, FSYNC, RENAME, UNLINK, KINDS };
enum { BEFORE, AFTER };
long seen[KINDS];
static char folder[PATH_MAX];
static size_t length;
static int kind = -1, when;
static long at;
static useconds_t wait_for;

/* Kinds and moments by the numbers above; `n` = 0 only counts. */
void arm(const char *path, int which, long n, int moment) {
    snprintf(folder, sizeof folder, "%s", path);
    kind = which, at = n, when = moment;
    length = strlen(folder);
}

/* Every call waits so many microseconds first. */
void slow(const char *path, long microseconds) {
    arm(path, -1, 0, 0);
    wait_for = microseconds;
}

static int inside(const char *path) {
    return !strncmp(path, folder, length) && (path[length] == 0 || path[length] == '/');
}

static int fd_ours(int fd) {
    char name[64], path[PATH_MAX];
    if (!length) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return inside(path);
}

static int path_ours(int dir, const char *path) {
    if (!length) return 0;
    if (path[0] == '/') return inside(path);
    if (dir != AT_FDCWD) return fd_ours(dir);
    char here[PATH_MAX];
    return getcwd(here, sizeof here) && inside(here);
}

static int strikes(int which, int ours) {
    if (ours && wait_for) usleep(wait_for);
    return ours && __atomic_add_fetch(&seen[which], 1, __ATOMIC_SEQ_CST) == at && which == kind;
}

#define WRAP(result, name, parameters, arguments, which, ours)                     \
    result name parameters {                                                      \
        static result(*real) parameters;                                          \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                \
        int now = strikes(which, ours);                                           \
        if (now && when == BEFORE) kill(getpid(), SIGKILL);                       \
        result said = real arguments;                                             \
        if (now) kill(getpid(), SIGKILL);                                         \
        return said;                                                              \
    }

#define WRAP_OPEN(name, parameters, arguments, dir)                                \
    int name parameters {                                                         \
        static int(*real)();                                                      \
        if (!real) real = (int (*)())dlsym(RTLD_NEXT, #name);                     \
        va_list more;                                                             \
        va_start(more, flags);                                                    \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0;         \
        va_end(more);                                                             \
        int now = strikes(OPEN, path_ours(dir, path));                            \
        if (now && when == BEFORE) kill(getpid(), SIGKILL);                       \
        int said = real arguments;                                                \
        if (now) kill(getpid(), SIGKILL);                                         \
        return said;                                                              \
    }

WRAP_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
WRAP_OPEN(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), dir)
WRAP_OPEN(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), dir)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), OPEN, path_ours(AT_FDCWD, path))
WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), OPEN, path_ours(AT_FDCWD, path))

WRAP(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), WRITE, fd_ours(fd))
WRAP(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), WRITE, fd_ours(fd))
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t to), (fd, data, size, to), WRITE, fd_ours(fd))
WRAP(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t to), (fd, data, size, to), WRITE, fd_ours(fd))
WRAP(ssize_t, sendfile, (int to, int from, off_t *start, size_t size), (to, from, start, size), WRITE, fd_ours(to))
WRAP(ssize_t, sendfile64, (int to, int from, off64_t *start, size_t size), (to, from, start, size), WRITE, fd_ours(to))

WRAP(int, fsync, (int fd), (fd), FSYNC, fd_ours(fd))
WRAP(int, fdatasync, (int fd), (fd), FSYNC, fd_ours(fd))

WRAP(int, rename, (const char *old, const char *new), (old, new), RENAME, path_ours(AT_FDCWD, new))
WRAP(int, renameat, (int from, const char *old, int to, const char *new), (from, old, to, new), RENAME,
     path_ours(to, new))

WRAP(int, unlink, (const char *path), (path), UNLINK, path_ours(AT_FDCWD, path))
WRAP(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), UNLINK, path_ours(dir, path))
WRAP(int, rmdir, (const char *path), (path), UNLINK, path_ours(AT_FDCWD, path))
