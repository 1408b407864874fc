/*
 * Cancellations that could not be stored: a file of fixed size in the data directory, written in place, so that noting
 * one needs no space on the disk. A job that is noted here is not trained again, also after a restart; it is cancelled
 * as soon as that can be committed, and then no longer noted. Any thread.
 */
#ifndef MODPROP_SERVER_STORE_STOPS_H
#define MODPROP_SERVER_STORE_STOPS_H

#include <pthread.h>
#include <stdbool.h>

#include "server/store/store.h"

#define STOPS_MOST 256

struct stops {
    char path[4096];
    pthread_mutex_t mutex;
    int descriptor; /* -1: there was no space for the file yet */
    int count;
    char ids[STOPS_MOST][STORE_ID_BYTES]; /* "": free */
};

/* Reads the file, or creates it if there is space. False if the path is too long. */
bool stops_init(struct stops *stops, const char *directory);
void stops_release(struct stops *stops);
/* Creates the file if there was no space for it before. */
void stops_prepare(struct stops *stops);

/* Durable once it returns true. False: there is no file, no free place, or the disk fails. */
bool stops_add(struct stops *stops, const char *id);
/* Nothing is written if it is not noted. */
void stops_remove(struct stops *stops, const char *id);
bool stops_has(struct stops *stops, const char *id);

#endif
