/*
 * The scratch directory of a worker: each run has a directory of its own in it, run-XXXXXX, with a file that it keeps
 * locked. What a worker that was killed left is found by its lock, which nobody holds, and removed by the next one.
 * Loop thread. See agent.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/worker/agent.h"

#define PREFIX "run-"
#define PATH_BYTES 1024

static int lock_open(const char *directory, int flags) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.900s/lock", directory);
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

/* A directory without directories in it. */
static void directory_remove(const char *directory) {
    char path[PATH_BYTES];
    DIR *entries = opendir(directory);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%.700s/%.255s", directory, entry->d_name);
            unlink(path);
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
    rmdir(directory);
}

static void stale_remove(const char *scratch) {
    char path[PATH_BYTES];
    DIR *entries = opendir(scratch);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0) {
            continue;
        }
        snprintf(path, sizeof path, "%.600s/%.255s", scratch, entry->d_name);
        int lock = lock_open(path, 0);
        if (lock >= 0) {
            directory_remove(path);
            close(lock);
        }
    }
    if (entries != NULL) {
        closedir(entries);
    }
}

bool scratch_open(struct agent *agent) {
    agent->lock = -1;
    if (mkdir(agent->options.scratch, 0700) != 0 && errno != EEXIST) {
        return false;
    }
    stale_remove(agent->options.scratch);
    snprintf(agent->directory, sizeof agent->directory, "%.400s/" PREFIX "XXXXXX", agent->options.scratch);
    if (mkdtemp(agent->directory) == NULL) {
        return false;
    }
    agent->lock = lock_open(agent->directory, O_CREAT);
    return agent->lock >= 0;
}

void scratch_close(struct agent *agent) {
    directory_remove(agent->directory);
    if (agent->lock >= 0) {
        close(agent->lock);
    }
}
