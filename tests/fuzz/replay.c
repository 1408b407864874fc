/*
 * Main without libFuzzer: gives every file of the folders named as arguments to the target, once. One thread, and no
 * input is made up: it shows that the targets link and that no seed fails.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/target.h"

enum { INPUT_MOST = 1 << 20 };

static void replay_file(const char *path) {
    uint8_t *bytes = malloc(INPUT_MOST);
    FILE *file = fopen(path, "rb");
    if (bytes == NULL || file == NULL) {
        perror(path);
        exit(2);
    }
    LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, INPUT_MOST, file));
    fclose(file);
    free(bytes);
}

static int replay_folder(const char *folder) {
    char path[4096];
    int count = 0;
    DIR *open = opendir(folder);
    if (open == NULL) {
        perror(folder);
        exit(2);
    }
    for (const struct dirent *entry; (entry = readdir(open)) != NULL;) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            replay_file(path);
            count++;
        }
    }
    closedir(open);
    return count;
}

int main(int count, char **arguments) {
    int files = 0;
    LLVMFuzzerInitialize(&count, &arguments);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < count; i++) {
        files += replay_folder(arguments[i]);
    }
    printf("%d files\n", files);
    return files > 0 ? 0 : 1;
}
