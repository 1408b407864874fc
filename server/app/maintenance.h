/*
 * Commands on a data directory, with or without a running daemon. They only read the database. Each returns an exit
 * status: 0, 1 for a fault or failure, 2 for bad usage. `arguments` are those after the command's name; --data and
 * --config as for serving, from flags, environment or file.
 */
#ifndef MODPROP_SERVER_MAINTENANCE_H
#define MODPROP_SERVER_MAINTENANCE_H

/* `modpropd verify --data DIR [--rerun] [JOB]`: checks everything stored for one job or for all. With --rerun it
 * trains finished jobs again and compares every reported number and the final weights. */
int verify_command(int count, char **arguments, char **environment);

/* `modpropd backup --data DIR FILE`: a complete and durable copy of the database as it is now. */
int backup_command(int count, char **arguments, char **environment);

#endif
