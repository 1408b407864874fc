/*
 * Commands on a data directory, beside a running daemon or without one. They read the database only; each returns an
 * exit status: 0, 1 for a fault or failure, 2 for bad usage. `arguments` are those behind the command's name; --data
 * and --config as for serving, from flags, environment or file.
 */
#ifndef MODPROP_SERVER_MAINTENANCE_H
#define MODPROP_SERVER_MAINTENANCE_H

/* `modpropd verify --data DIR [--rerun] [JOB]`: checks everything that is stored, of one job or of all. With --rerun
   finished jobs are trained again and every reported number and the final weights compared. */
int verify_command(int count, char **arguments, char **environment);

/* `modpropd backup --data DIR FILE`: a whole and durable copy of the database as it is now. */
int backup_command(int count, char **arguments, char **environment);

#endif
