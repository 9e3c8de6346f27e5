/** How long a call tries to come past a lock or another transaction; shorter than a deadline, so that it ends with what it has met. */
export const PATIENCE_MS = 2000;
