/*
 * Stands in for libFuzzer where it is not linked: gives every file of the corpora named on the
 * command line to the fuzz target once, so that seeds and past crashes are replayed by every test
 * run.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_BYTES_MAX ((size_t)1024 * 1024)
#define PATH_BYTES_MAX 4096

/** The fuzz target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The copy is exactly as large as the input, so that a sanitizer sees a read past it. */
static int replay_bytes(FILE *file, long size)
{
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    int outcome = -1;

    if (data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size)
        outcome = LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return outcome;
}

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    int outcome = -1;
    long size;

    if (file == NULL)
        return -1;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        (size_t)size <= INPUT_BYTES_MAX && fseek(file, 0, SEEK_SET) == 0)
        outcome = replay_bytes(file, size);
    (void)fclose(file); /* read-only, nothing to lose */
    return outcome;
}

/* The number of inputs replayed, or -1. */
static int replay_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    char path[PATH_BYTES_MAX];
    int count = 0;

    if (directory == NULL)
        return -1;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    while (count >= 0 && (entry = readdir(directory)) != NULL) {
        int len = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);

        if (entry->d_name[0] == '.')
            continue;
        if (len < 0 || (size_t)len >= sizeof(path) || replay_file(path) != 0) {
            (void)fprintf(stderr, "%s: cannot be replayed\n", entry->d_name);
            count = -1;
        } else {
            count++;
        }
    }
    (void)closedir(directory); /* read-only, nothing to lose */
    return count;
}

int main(int argc, char **argv)
{
    for (int index = 1; index < argc; index++) {
        int count = replay_folder(argv[index]);

        if (count <= 0) {
            (void)fprintf(stderr, "%s: no inputs, or one that failed\n", argv[index]);
            return EXIT_FAILURE;
        }
        printf("%s: %d inputs\n", argv[index], count);
    }
    return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
