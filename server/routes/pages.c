/*
 * The documentation's pages: see pages.h.
 */
#include "server/routes/pages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/store/store.h"

#define DEPTH 8
#define PATH_BYTES 512
#define TAG_BYTES 24

/* A static_file and what it points to. */
struct page {
    struct static_file file;
    char url[PATH_BYTES];
    char tags[2][TAG_BYTES];
    unsigned char *plain, *packed;
};

struct pages {
    struct page *items;
    size_t count, room, bytes;
};

static const struct {
    const char *suffix, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".json", "application/json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
};

static const char *type_of(const char *name) {
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].suffix, dot) == 0) {
            return types[i].type;
        }
    }
    return NULL;
}

/* The whole of a regular file; NULL with errno, ENOENT if there is none. `size` is at most `most`, else EFBIG. */
static unsigned char *file_read(int folder, const char *name, size_t most, size_t *size) {
    struct stat status;
    int descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) {
        errno = errno == ELOOP ? ENOENT : errno;
        return NULL;
    }
    unsigned char *bytes = NULL;
    size_t done = 0;
    int fault = fstat(descriptor, &status) != 0 ? errno
                : !S_ISREG(status.st_mode)      ? ENOENT
                : (size_t)status.st_size > most ? EFBIG
                                                : 0;
    if (fault == 0 && (bytes = malloc((size_t)status.st_size + 1)) == NULL) {
        fault = ENOMEM;
    }
    while (fault == 0 && done < (size_t)status.st_size) {
        ssize_t got = read(descriptor, bytes + done, (size_t)status.st_size - done);
        fault = got < 0 && errno != EINTR ? errno : got == 0 ? EIO : 0;
        done += got > 0 ? (size_t)got : 0;
    }
    close(descriptor);
    if (fault != 0) {
        free(bytes);
        errno = fault;
        return NULL;
    }
    *size = done;
    return bytes;
}

static struct page *page_new(struct pages *pages) {
    if (pages->count == pages->room) {
        size_t room = pages->room == 0 ? 64 : 2 * pages->room;
        struct page *items = realloc(pages->items, room * sizeof *items);
        if (items == NULL) {
            return NULL;
        }
        pages->items = items;
        pages->room = room;
    }
    struct page *page = &pages->items[pages->count];
    *page = (struct page){0};
    return page;
}

static void tag_write(char tag[TAG_BYTES], const void *bytes, size_t size) {
    char hex[STORE_HASH_BYTES];
    sha256_hex(bytes, size, hex);
    snprintf(tag, TAG_BYTES, "\"%.16s\"", hex);
}

/* Adds a file as `url`; false with errno. What is no regular file is passed over. */
static bool page_add(struct pages *pages, int folder, const char *name, const char *url) {
    char packed[PATH_BYTES];
    struct page *page = pages->count < PAGES_FILES ? page_new(pages) : NULL;
    if (page == NULL) {
        errno = pages->count < PAGES_FILES ? ENOMEM : EFBIG;
        return false;
    }
    page->plain = file_read(folder, name, PAGES_BYTES - pages->bytes, &page->file.plain_size);
    if (page->plain == NULL) {
        return errno == ENOENT;
    }
    pages->bytes += page->file.plain_size;
    snprintf(packed, sizeof packed, "%s.gz", name);
    page->packed = file_read(folder, packed, PAGES_BYTES - pages->bytes, &page->file.packed_size);
    pages->bytes += page->packed == NULL ? 0 : page->file.packed_size;
    snprintf(page->url, sizeof page->url, "%s", url);
    tag_write(page->tags[0], page->plain, page->file.plain_size);
    if (page->packed != NULL) {
        tag_write(page->tags[1], page->packed, page->file.packed_size);
    }
    page->file.type = type_of(name);
    pages->count++;
    return true;
}

/* Adds what a folder holds; closes `folder`. False with errno. */
static bool folder_add(struct pages *pages, int folder, const char *url, int depth) {
    DIR *list = fdopendir(folder);
    struct dirent *item;
    bool ok = list != NULL;
    if (!ok) {
        close(folder);
        return false;
    }
    while (ok && (errno = 0, item = readdir(list)) != NULL) {
        char below[PATH_BYTES];
        int length = snprintf(below, sizeof below, "%s%s", url, item->d_name), inner;
        if (item->d_name[0] == '.' || length >= PATH_BYTES - 1) {
            continue;
        }
        if (type_of(item->d_name) != NULL) {
            ok = page_add(pages, folder, item->d_name, below);
        } else if (depth > 0 &&
                   (inner = openat(folder, item->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0) {
            below[length] = '/';
            below[length + 1] = '\0';
            ok = folder_add(pages, inner, below, depth - 1);
        }
    }
    int fault = errno;
    closedir(list);
    errno = fault;
    return ok && fault == 0;
}

static int compare_urls(const void *a, const void *b) {
    return strcmp(((const struct page *)a)->url, ((const struct page *)b)->url);
}

/* Sorts the pages and sets the pointers within them, which no longer move. */
static void pages_settle(struct pages *pages) {
    if (pages->count > 1) {
        qsort(pages->items, pages->count, sizeof *pages->items, compare_urls);
    }
    for (size_t i = 0; i < pages->count; i++) {
        struct page *page = &pages->items[i];
        page->file.url = page->url;
        page->file.tag = page->tags[0];
        page->file.packed_tag = page->tags[1];
        page->file.plain = page->plain;
        page->file.packed = page->packed;
    }
}

struct pages *pages_open(const char *folder, char error[CONFIG_ERROR_BYTES]) {
    struct pages *pages = calloc(1, sizeof *pages);
    int descriptor = pages == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0 || !folder_add(pages, descriptor, PAGES_URL, DEPTH)) {
        int fault = pages == NULL ? ENOMEM : errno;
        if (fault == EFBIG) {
            snprintf(error, CONFIG_ERROR_BYTES,
                     "--docs %s: holds more than %d files or %zu MiB, so it is not a folder of pages", folder,
                     PAGES_FILES, PAGES_BYTES >> 20);
        } else {
            snprintf(error, CONFIG_ERROR_BYTES, "--docs %s: cannot be read: %s", folder, strerror(fault));
        }
        pages_close(pages);
        return NULL;
    }
    pages_settle(pages);
    if (pages_find(pages, PAGES_URL) == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "--docs %s: has no index.html; clients/docs/build makes the folder",
                 folder);
        pages_close(pages);
        return NULL;
    }
    return pages;
}

static int compare_path(const void *path, const void *page) {
    return strcmp(path, ((const struct page *)page)->url);
}

const struct static_file *pages_find(const struct pages *pages, const char *path) {
    if (pages == NULL || pages->count == 0) {
        return NULL;
    }
    const char *name = strcmp(path, PAGES_URL) == 0 ? PAGES_URL "index.html" : path;
    const struct page *page = bsearch(name, pages->items, pages->count, sizeof *pages->items, compare_path);
    return page == NULL ? NULL : &page->file;
}

void pages_close(struct pages *pages) {
    for (size_t i = 0; pages != NULL && i < pages->count; i++) {
        free(pages->items[i].plain);
        free(pages->items[i].packed);
    }
    if (pages != NULL) {
        free(pages->items);
    }
    free(pages);
}
