/* The reserve: see reserve.h. */
#include "server/store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BYTES_MOST (INT64_C(8) << 20)
#define BYTES_LEAST (INT64_C(128) << 10)
#define DISK_SHARE 16

bool reserve_init(struct reserve *reserve, const char *directory) {
    struct statvfs disk;
    struct stat file;
    *reserve = (struct reserve){.bytes = BYTES_MOST};
    if (snprintf(reserve->path, sizeof reserve->path, "%s/reserve", directory) >= (int)sizeof reserve->path) {
        return false;
    }
    if (statvfs(directory, &disk) == 0) {
        int64_t share = (int64_t)(disk.f_blocks * disk.f_frsize) / DISK_SHARE;
        reserve->bytes = share < BYTES_LEAST ? BYTES_LEAST : share < BYTES_MOST ? share : BYTES_MOST;
    }
    reserve->held = stat(reserve->path, &file) == 0 && (int64_t)file.st_blocks * 512 >= reserve->bytes;
    return true;
}

bool reserve_take(struct reserve *reserve) {
    if (reserve->held) {
        return true;
    }
    int descriptor = open(reserve->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    reserve->held = descriptor >= 0 && posix_fallocate(descriptor, 0, (off_t)reserve->bytes) == 0;
    if (descriptor >= 0) {
        close(descriptor);
    }
    if (!reserve->held) {
        (void)unlink(reserve->path);
    }
    return reserve->held;
}

void reserve_release(struct reserve *reserve) {
    (void)unlink(reserve->path);
    reserve->held = false;
}

int64_t reserve_disk_free(const struct reserve *reserve) {
    char directory[sizeof reserve->path];
    struct statvfs disk;
    snprintf(directory, sizeof directory, "%s", reserve->path);
    *strrchr(directory, '/') = '\0';
    return statvfs(directory, &disk) == 0 ? (int64_t)(disk.f_bavail * disk.f_frsize) : INT64_MAX;
}
