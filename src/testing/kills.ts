/** How many processes, brokers and mirrors, this run has ended with SIGKILL while they worked. */
let kills = 0;

export function countKill(): void {
  kills++;
}

export function killsSoFar(): number {
  return kills;
}
