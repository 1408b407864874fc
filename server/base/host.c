/*
 * Limits of the host: see host.h. A process finds its cgroups in /proc/self/cgroup. Limits of their ancestors apply
 * too, so each path is followed up to the root. Inside a container the path may not exist below the mount: then the
 * root of the mount is read.
 */
#include "server/base/host.h"

#include <dirent.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

static bool read_line(const char *path, char *line, int size) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool ok = fgets(line, size, file) != NULL;
    fclose(file);
    return ok;
}

/* The first integer of a file, or -1 ("max" and missing files included). */
static int64_t read_number(const char *directory, const char *name) {
    char path[PATH_MAX + 64], line[64];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (!read_line(path, line, sizeof line) || line[0] < '0' || line[0] > '9') {
        return -1;
    }
    return strtoll(line, NULL, 10);
}

/* The first two numbers of a line; false where it has fewer ("max 100000"). */
static bool two_numbers(const char *line, long long *first, long long *second) {
    char *middle, *end;
    long long one = strtoll(line, &middle, 10), two = strtoll(middle, &end, 10);
    if (middle == line || end == middle) {
        return false;
    }
    *first = one;
    *second = two;
    return true;
}

/* Version 2 has "quota period" in one file, version 1 has one file for each. Cores, rounded up; -1 without a limit. */
static int64_t directory_cores(const char *directory) {
    char path[PATH_MAX + 64], line[64];
    long long quota = -1, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", directory);
    if (!read_line(path, line, sizeof line) || !two_numbers(line, &quota, &period)) {
        quota = read_number(directory, "cpu.cfs_quota_us");
        period = read_number(directory, "cpu.cfs_period_us");
    }
    return quota > 0 && period > 0 ? (quota + period - 1) / period : -1;
}

static int64_t directory_memory(const char *directory) {
    int64_t version2 = read_number(directory, "memory.max");
    return version2 >= 0 ? version2 : read_number(directory, "memory.limit_in_bytes");
}

/* The lowest limit from `mount`/`path` up to `mount`. */
static int64_t walk(const char *mount, const char *path, int64_t (*limit)(const char *directory), int64_t least) {
    char directory[PATH_MAX];
    size_t root = strlen(mount);
    snprintf(directory, sizeof directory, "%s%s", mount, path);
    for (;;) {
        int64_t value = limit(directory);
        if (value > 0 && value < least) {
            least = value;
        }
        char *slash = strrchr(directory, '/');
        if (slash == NULL || (size_t)(slash - directory) < root) {
            return least;
        }
        *slash = '\0';
    }
}

/* The lowest limit over all cgroups of this process whose controller is `controller` (version 1) or any (version 2). */
static int64_t cgroup_limit(const char *controller, int64_t (*limit)(const char *directory), int64_t least) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char mount[128], *rest = line;
        line[strcspn(line, "\n")] = '\0';
        strsep(&rest, ":");
        char *controllers = rest == NULL ? NULL : strsep(&rest, ":");
        if (rest == NULL) {
            continue;
        }
        if (*controllers == '\0') {
            least = walk(CGROUP_ROOT, rest, limit, least);
            least = walk(CGROUP_ROOT "/unified", rest, limit, least);
        } else if (strstr(controllers, controller) != NULL) {
            snprintf(mount, sizeof mount, "%s/%s", CGROUP_ROOT, controller);
            least = walk(mount, rest, limit, least);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return least;
}

int host_cores(void) {
    cpu_set_t set;
    int64_t cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    cores = cgroup_limit("cpu", directory_cores, cores);
    return cores < 1 ? 1 : (int)cores;
}

int64_t host_memory(void) {
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    return cgroup_limit("memory", directory_memory, bytes);
}

int64_t host_resident_bytes(void) {
    char line[128];
    long long total, resident;
    if (!read_line("/proc/self/statm", line, sizeof line) || !two_numbers(line, &total, &resident)) {
        return 0;
    }
    return resident * sysconf(_SC_PAGESIZE);
}

int64_t host_heap_bytes(void) {
    struct mallinfo2 heap = mallinfo2();
    return (int64_t)(heap.uordblks + heap.hblkhd);
}

int64_t host_open_descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    int64_t count = -3; /* ., .. and the directory's own */
    if (directory == NULL) {
        return 0;
    }
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}
