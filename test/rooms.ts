/**
 * The table of rooms (ARCHITECTURE.md shows the same one): who may import whom. It is executable: test/tidy.test.ts
 * holds every import of the repository against it, and compares it with ARCHITECTURE.md and .oxlintrc.json.
 */

/** What a room may import besides itself and packages. `all` leaves out web and, for all but `testing`, src/main.ts and `testing`. */
export const rooms = {
  main: 'all',
  util: [],
  contract: ['util'],
  kafka: ['util'],
  jobs: ['contract', 'kafka', 'util'],
  mirror: ['jobs', 'kafka', 'contract', 'util'],
  forward: ['jobs', 'kafka', 'contract', 'util'],
  archive: ['jobs', 'kafka', 'contract', 'util'],
  detect: ['jobs', 'kafka', 'contract', 'util'],
  replay: ['jobs', 'kafka', 'contract', 'util'],
  govern: ['kafka', 'contract', 'util'],
  watch: ['kafka', 'contract', 'util'],
  prove: ['jobs', 'kafka', 'contract', 'util'],
  migrate: ['contract', 'util'],
  schemas: ['contract', 'util'],
  services: ['kafka', 'schemas', 'contract', 'util'],
  assist: ['contract', 'util'],
  store: ['contract', 'util'],
  server: 'all but cli',
  app: 'all but cli',
  cli: ['contract', 'util', 'main'],
  testing: 'all',
  web: ['contract'],
} as const satisfies Record<string, readonly string[] | 'all' | 'all but cli'>;

export type Room = keyof typeof rooms;

/** Folders outside src/ that may import everything, `testing` too. */
const WORKBENCHES = ['test', 'bench', 'demo', 'scripts'] as const;
type Workbench = (typeof WORKBENCHES)[number];

export const roomNames = Object.keys(rooms).filter(isRoom);

export function isRoom(name: string): name is Room {
  return Object.hasOwn(rooms, name);
}

/** `src/kafka/…` → kafka, `src/main.ts` → main, `web/…` → web, `bench/…` → bench; null for what belongs to no room. */
export function roomOf(path: string): Room | Workbench | null {
  const [top = '', second = ''] = path.split('/');
  if (top === 'src') return second === 'main.ts' || second === 'main.test.ts' ? 'main' : isRoom(second) ? second : null;
  if (top === 'web') return 'web';
  return WORKBENCHES.find((name) => name === top) ?? null;
}

/** The rooms that `room` may import; a room may always import itself. */
function allowedRooms(room: Room): readonly Room[] {
  const rule: readonly Room[] | 'all' | 'all but cli' = rooms[room];
  if (typeof rule !== 'string') return rule;
  const never: Room[] = room === 'testing' ? ['web'] : ['web', 'main', 'testing'];
  if (rule === 'all but cli') never.push('cli');
  return roomNames.filter((name) => name !== room && !never.includes(name));
}

/** What is wrong with an import of `target` by the file at `path`; null when it is allowed. */
export function roomViolation(path: string, target: Room): string | null {
  const room = roomOf(path);
  if (room === null) return `${path} belongs to no room of test/rooms.ts`;
  if (!isRoom(room) || room === target) return null;
  if (target === 'testing')
    return path.endsWith('.test.ts') ? null : `${path}: only tests, bench and demo import testing`;
  const allowed = allowedRooms(room);
  return allowed.includes(target) ? null : `${path}: ${room} may import ${listed(allowed)}, not ${target}`;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'no other room' : names.join(', ');
}

/** The overrides of .oxlintrc.json that say the same to whoever types a wrong import, in the editor. */
export function lintOverrides(): readonly object[] {
  return roomNames
    .filter((room) => room !== 'main' && room !== 'testing')
    .map((room) => ({
      files: [room === 'web' ? 'web/**' : `src/${room}/**`],
      excludeFiles: ['**/*.test.ts'],
      rules: { 'no-restricted-imports': ['error', { patterns: [restriction(room)] }] },
    }));
}

function restriction(room: Room): object {
  const allowed = allowedRooms(room);
  const forbidden = roomNames.filter(
    (name) => name !== room && name !== 'main' && name !== 'web' && !allowed.includes(name),
  );
  const group = forbidden.map((name) => `#${name}/**`);
  if (!allowed.includes('main')) group.push('**/main.ts');
  return { group, message: `${room} may import ${listed(allowed)} (test/rooms.ts).` };
}
