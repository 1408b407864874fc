/*
 * A folder that appears whole or not at all. See folder.h.
 */
#include "clients/cli/folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/cli/commands.h"
#include "clients/cli/digest.h"
#include "clients/cli/report.h"

/* Whether nothing is at `path`, or an empty folder. */
static enum status place_check(const char *path) {
    DIR *stream = opendir(path);
    const struct dirent *entry;
    bool empty = true;
    if (stream == NULL) {
        return errno == ENOENT ? STATUS_OK : report_error(STATUS_USAGE, "cannot write %s: %s", path, strerror(errno));
    }
    while ((entry = readdir(stream)) != NULL) {
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    }
    closedir(stream);
    return empty ? STATUS_OK : report_error(STATUS_USAGE, "%s must not exist, or be empty; name another folder", path);
}

enum status folder_open(struct folder *folder, const char *path) {
    size_t length = strlen(path);
    *folder = (struct folder){0};
    enum status status = place_check(path);
    if (status != STATUS_OK) {
        return status;
    }
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    folder->path = memory_format("%.*s", (int)length, path);
    folder->temporary = memory_format("%s.XXXXXX", folder->path);
    mode_t mask = umask(0);
    umask(mask);
    if (mkdtemp(folder->temporary) == NULL || chmod(folder->temporary, 0777 & ~mask) != 0) {
        status = report_error(STATUS_FAILED, "cannot make the folder %s: %s", path, strerror(errno));
        rmdir(folder->temporary);
        free(folder->path);
        free(folder->temporary);
        *folder = (struct folder){0};
    }
    return status;
}

enum status folder_write(struct folder *folder, const char *name, const void *bytes, size_t size) {
    char *path = memory_format("%s/%s", folder->temporary, name), *slash = strrchr(path, '/'), text[DIGEST_BYTES];
    enum status status = STATUS_OK;
    *slash = '\0';
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        status = report_error(STATUS_FAILED, "cannot make the folder %s: %s", path, strerror(errno));
    }
    *slash = '/';
    status = status == STATUS_OK ? cli_write(path, bytes, size) : status;
    text_printf(&folder->digests, "%s  %s\n", digest_of(bytes, size, text), name);
    free(path);
    return status;
}

static int entry_remove(const char *path, const struct stat *about, int kind, struct FTW *place) {
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

enum status folder_close(struct folder *folder, enum status status) {
    if (folder->temporary != NULL && status == STATUS_OK && rename(folder->temporary, folder->path) != 0) {
        status = report_error(STATUS_FAILED, "cannot write %s: %s", folder->path, strerror(errno));
    }
    if (folder->temporary != NULL && status != STATUS_OK) {
        nftw(folder->temporary, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
    }
    free(folder->path);
    free(folder->temporary);
    text_release(&folder->digests);
    *folder = (struct folder){0};
    return status;
}
