/** A broker, or a directory of another process, on a disk so small that a test can fill it. */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { KafkaBroker } from '#testing/kafka-broker.ts';

/** Names our mounts, with the process that made them: one that was killed leaves its mount behind. */
const device = 'lockstep-small-disk';

/** What a test does to the disk of a broker. */
export interface SmallDisk {
  /** How the disk is made small, in a line. */
  readonly kind: string;
  /** Leaves no room for another byte. Returns what the kernel says to a write. */
  fill(): string;
  free(): void;
  /** Gives the broker its old disk back, with its data. Stops it when it runs. */
  remove(): Promise<void>;
}

/**
 * Restarts the broker on a tmpfs of so many bytes that holds its data. Where mounting is not allowed (only root may), the
 * kernel's limit on the size of the files that the broker writes takes its place: EFBIG instead of ENOSPC, to Kafka the
 * same IOException.
 */
export async function onSmallDisk(broker: KafkaBroker, bytes: number): Promise<SmallDisk> {
  unmountLeftovers();
  await broker.stop();
  const disk = mountOver(broker.dataDir, bytes) ?? limitFiles(broker);
  await broker.start();
  return {
    ...disk,
    async remove() {
      await broker.kill();
      disk.remove();
    },
  };
}

type Disk = Omit<SmallDisk, 'remove'> & { remove(): void };

/** Gives a directory that nobody uses a disk of so many bytes. Null where mounting is not allowed. */
export function smallDirectory(directory: string, bytes: number): Disk | null {
  unmountLeftovers();
  return mountOver(directory, bytes);
}

function mountOver(directory: string, bytes: number): Disk | null {
  const aside = `${directory}.aside`;
  const filler = join(directory, 'filler');
  try {
    copy(directory, aside);
    run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, `${device}-${process.pid}`, directory);
  } catch {
    return null;
  }
  copy(aside, directory);
  return {
    kind: `tmpfs of ${Math.round(bytes / 1e6)} MB`,
    fill: () => fillUp(filler),
    free: () => rmSync(filler, { force: true }),
    remove() {
      rmSync(filler, { force: true });
      rmSync(aside, { recursive: true });
      copy(directory, aside);
      run('umount', directory);
      rmSync(directory, { recursive: true });
      copy(aside, directory);
      rmSync(aside, { recursive: true });
    },
  };
}

/** Sparse: the indexes of a segment are files of 10 MB with next to nothing in them. */
function copy(from: string, to: string): void {
  run('mkdir', '-p', to);
  run('cp', '-a', '--sparse=always', `${from}/.`, to);
}

function run(command: string, ...argv: string[]): void {
  execFileSync(command, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function fillUp(path: string): string {
  const file = openSync(path, 'a');
  try {
    // Ever smaller pieces, until not one byte has room.
    for (let bytes = 1 << 20; bytes >= 1;) {
      try {
        writeSync(file, Buffer.alloc(bytes));
      } catch (error) {
        if (bytes === 1) return `${(error as NodeJS.ErrnoException).code} after ${statSync(path).size} bytes of filler`;
        bytes = Math.floor(bytes / 2);
      }
    }
    return 'no error';
  } finally {
    closeSync(file);
  }
}

function limitFiles(broker: KafkaBroker): Disk {
  const limit = (bytes: string): void => run('prlimit', `--pid=${broker.pid}`, `--fsize=${bytes}`);
  return {
    kind: 'a limit on the size of files',
    fill() {
      limit('1:unlimited');
      return `EFBIG for ${broker.pid}`;
    },
    free() {
      if (broker.isRunning()) limit('unlimited');
    },
    remove() {},
  };
}

/** Mounts of runs that were killed before they could take them away. */
function unmountLeftovers(): void {
  if (!existsSync('/proc/mounts')) return;
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [name = '', directory = ''] = line.split(' ');
    const owner = new RegExp(`^${device}-(\\d+)$`).exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) run('umount', directory);
  }
}
