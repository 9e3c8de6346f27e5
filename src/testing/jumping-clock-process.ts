/**
 * A preload under which the wall clock of a program jumps at each SIGUSR2: two hours ahead, two behind, back to what it
 * was. Its monotonic clock and its timers go on, as they do where somebody sets the clock of a machine (clock_settime(2)
 * changes CLOCK_REALTIME only). Our own programs ask for the wall time at one place, `Date.now` (test/tidy.test.ts).
 */
const hourMs = 3_600_000;
const offsetsMs = [2 * hourMs, -2 * hourMs, 0];

const now = Date.now.bind(Date);
let jumps = 0;
Date.now = () => now() + (jumps === 0 ? 0 : (offsetsMs[(jumps - 1) % offsetsMs.length] ?? 0));
process.on('SIGUSR2', () => (jumps += 1));
