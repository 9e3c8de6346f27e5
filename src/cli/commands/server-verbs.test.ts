/** What each command does to a server, and what it shows of it. */
import { readFileSync, globSync } from 'node:fs';
import { expect, test } from 'vitest';
import { operationIds } from '#contract/api/routes.ts';
import { PASSWORD, playedIncident, playedStatus } from '#testing/played-control-plane.ts';
import { PlayedShell, typing } from '#testing/played-shell.ts';

async function withClusters(): Promise<PlayedShell> {
  const shell = await PlayedShell.signedIn();
  for (const name of ['east', 'west'])
    await shell.json(`clusters add --name ${name} --brokers ${name}-1.example:9092,${name}-2.example:9092`);
  return shell;
}

async function withJob(): Promise<PlayedShell> {
  const shell = await withClusters();
  await shell.json('jobs add --name orders --source east --target west --topic orders');
  return shell;
}

/** Routes that are for browsers and clients of other kinds. */
const NOT_FOR_COMMANDS: readonly string[] = [
  'getOpenApi', // documents for people and generators
  'getDocs',
  'getSwaggerPage',
  'getRedocPage',
  'signIn', // cookies of browsers; commands have getToken
  'finishSignIn',
  'getStepUpOptions', // security keys answer in browsers only
  'listPasskeys',
  'getPasskeyOptions',
  'addPasskey',
  'removePasskey',
  'startSignOn', // pages of the identity provider
  'finishSignOn',
  'openSocket',
  'createStreamTicket',
  'listSourceTopics', // all clusters at once, for selections of the console; commands ask one cluster
  'listTargetTopics',
];

test('every route of the API is reached by a command, or said to be none of theirs', () => {
  const sources = globSync('src/cli/**/*.ts', { exclude: ['**/*.test.ts'] })
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const unreached = operationIds.filter((id) => !sources.includes(`'${id}'`));
  expect(unreached.filter((id) => !NOT_FOR_COMMANDS.includes(id))).toEqual([]);
  expect(NOT_FOR_COMMANDS.filter((id) => !unreached.includes(id as never))).toEqual([]);
});

test('reg-M-150-scriptable: without a terminal no command asks; it says what to name', async () => {
  const shell = await withJob();
  const asking = [
    'clusters add',
    'clusters get',
    'clusters edit',
    'clusters remove',
    'clusters test',
    'jobs add',
    'jobs get',
    'jobs start',
    'jobs delete',
    'jobs delete orders',
    'jobs stop-all',
    'jobs status',
    'users add ben',
    'users add ben --role operator',
    'users remove ben',
    'users reset-password ben',
    'change-password',
    'incidents resolve orders 1',
    'tokens create',
    'roles add r',
    'topics list',
  ];
  for (const line of asking) {
    const { code, out, err } = await shell.run(line);
    expect({ line, code, out }).toEqual({ line, code: 2, out: '' });
    expect(err).toMatch(/^REQUEST_INVALID: .+\nnext: .+\n$/s);
  }
});

test('reg-M-154: users are added, shown, changed and removed by flags', async () => {
  const shell = await PlayedShell.signedIn();
  const password = { input: `${PASSWORD}\n` };
  expect(await shell.run('users add ben --role operator --password-stdin', password)).toMatchObject({
    code: 0,
    out: 'ben is operator\n',
  });
  expect(await shell.run('users add robot --role monitoring --kind service')).toMatchObject({ code: 0 });
  const { users } = await shell.json<{ users: { username: string; roles: string[] }[] }>('users list');
  expect(users.map(({ username, roles }) => [username, ...roles])).toEqual([
    ['admin', 'admin'],
    ['ben', 'operator'],
    ['robot', 'monitoring'],
  ]);
  expect((await shell.run('users list --kind service')).out).toContain('robot');
  expect(await shell.run('users set-role ben monitoring')).toMatchObject({ code: 0, out: 'ben is monitoring\n' });
  expect(await shell.json('users get ben')).toMatchObject({ user: { roles: ['monitoring'] } });
  expect(await shell.run('users set-role admin monitoring')).toMatchObject({ code: 4 });
  expect(await shell.run('users disable ben')).toMatchObject({ code: 0, out: 'ben is disabled\n' });
  expect(await shell.run('login ben --password-stdin', password)).toMatchObject({ code: 4 });
  expect(await shell.run('users enable ben')).toMatchObject({ code: 0 });
  expect(await shell.run('users end-sessions ben')).toMatchObject({ code: 0 });
  expect(await shell.run('users remove ben', { io: typing('no') })).toMatchObject({ code: 2 });
  expect(await shell.run('users delete ben --yes')).toMatchObject({ code: 0, out: 'ben is deleted\n' });
  expect(await shell.run('users get ben')).toMatchObject({ code: 1 });
  expect(await shell.run('users add eve --role operater --password-stdin', password)).toMatchObject({ code: 1 });
  expect((await shell.run('users add eve --role operator --kind servise')).err).toContain('did you mean "service"?');
});

test('reg-M-158: a new password goes to a file of its own, and never to a stream', async () => {
  const shell = await PlayedShell.signedIn();
  await shell.run('users add ben --role operator --password-stdin', { input: PASSWORD });
  const done = await shell.run('users reset-password ben --password-file ben.txt');
  expect(done).toMatchObject({ code: 0, err: '' });
  const password = shell.disk.readText('ben.txt').trim();
  expect(password.length).toBeGreaterThan(20);
  expect(done.out).not.toContain(password);
  expect(shell.disk.secrets.has('ben.txt')).toBe(true);
  expect(await shell.run('users reset-password ben --password-file ben.txt')).toMatchObject({ code: 2 });
  expect(await shell.run('login ben --password-stdin', { input: password })).toMatchObject({ code: 0 });
});

test('roles are made of grants that say on what', async () => {
  const shell = await PlayedShell.signedIn();
  const grants = [
    'jobs:view@cluster:east',
    'jobs:start@job:orders',
    'topics:create@topics:pay.@east',
    'metrics:view',
    'users:create@role:monitoring',
  ];
  await shell.json(['roles', 'add', 'east-jobs', '--description', 'for east', '--grant', ...grants]);
  const { role } = await shell.json<{ role: { grants: unknown[] } }>('roles get east-jobs');
  expect(role.grants).toEqual([
    { permission: 'jobs:view', resource: { kind: 'cluster', name: 'east' } },
    { permission: 'jobs:start', resource: { kind: 'job', name: 'orders' } },
    { permission: 'topics:create', resource: { kind: 'topicPrefix', prefix: 'pay.', cluster: 'east' } },
    { permission: 'metrics:view', resource: { kind: 'any' } },
    { permission: 'users:create', resource: { kind: 'role', name: 'monitoring' } },
  ]);
  const shown = (await shell.run('roles get east-jobs')).out;
  expect(shown).toContain('topics pay.* of cluster east');
  expect(shown).toContain('users with the role monitoring');
  expect(await shell.run('roles edit east-jobs --grant jobs:view')).toMatchObject({ code: 0 });
  expect((await shell.run('roles list')).out).toMatch(/east-jobs +own +1 +0 +for east/);
  expect((await shell.run('roles add x --grant jobs:veiw')).err).toContain('did you mean "jobs:view"?');
  expect(await shell.run('roles add x --grant jobs:view@planet:mars')).toMatchObject({ code: 2 });
  expect(await shell.run('roles remove east-jobs --yes')).toMatchObject({ code: 0 });
});

test('tokens have scopes and an end; a certificate stands for a service account', async () => {
  const shell = await PlayedShell.signedIn();
  await shell.json('users add robot --role monitoring --kind service');
  const { token } = await shell.json<{ token: { id: string; token: string; scopes: string[] } }>(
    'tokens create --name ci --owner robot --scopes jobs:view,metrics:view --from 127.0.0.0/8 --days 7',
  );
  expect(token.scopes).toEqual(['jobs:view', 'metrics:view']);
  const listed = await shell.run('tokens list');
  expect(listed.out).toContain('jobs:view, metrics:view');
  expect(listed.out).not.toContain(token.token);
  expect(await shell.run('tokens create --name ci --token-file ci.token')).toMatchObject({ code: 0 });
  expect(shell.disk.secrets.has('ci.token')).toBe(true);
  expect(await shell.run(`tokens revoke ${token.id}`)).toMatchObject({ code: 0 });
  expect((await shell.run('tokens list')).out).toContain('revoked');
  expect((await shell.run('tokens create --name x --scopes jobs:veiw')).err).toContain('did you mean "jobs:view"?');
  const { certificate } = await shell.json<{ certificate: { id: string } }>(
    'certificates add robot --subject URI:spiffe://example/robot',
  );
  expect((await shell.run('certificates list robot')).out).toContain('URI:spiffe://example/robot');
  expect(await shell.run(`certificates revoke ${certificate.id}`)).toMatchObject({ code: 0 });
});

test('reg-M-161: clusters are tried, added, changed, taken out of use, restored and purged by flags', async () => {
  const shell = await withClusters();
  expect((await shell.run('clusters list')).out).toBe(
    [
      'NAME  STATUS  PROVIDER  ADDRESSES                                 CHANGED',
      'east  active  plain     east-1.example:9092, east-2.example:9092  2023-11-14 22:13:20Z',
      'west  active  plain     west-1.example:9092, west-2.example:9092  2023-11-14 22:13:20Z',
      '',
    ].join('\n'),
  );
  const secure =
    'clusters add --name north --brokers n.example:9093 --protocol SASL_SSL --mechanism SCRAM-SHA-512 --username mirror --password-file /run/secrets/north --ca-file /run/secrets/ca.pem';
  await shell.json(secure);
  const { cluster } = await shell.json<{ cluster: { spec: unknown } }>('clusters get north');
  expect(cluster.spec).toEqual({
    bootstrap: ['n.example:9093'],
    security: {
      protocol: 'SASL_SSL',
      mechanism: 'SCRAM-SHA-512',
      username: 'mirror',
      password: { file: '/run/secrets/north' },
      ca: { file: '/run/secrets/ca.pem' },
    },
  });
  await shell.json('clusters edit north --brokers n-2.example:9093');
  const edited = await shell.json<{ cluster: { spec: { bootstrap: string[]; security: unknown } } }>(
    'clusters get north',
  );
  expect(edited.cluster.spec.bootstrap).toEqual(['n-2.example:9093']);
  expect(edited.cluster.spec.security).toMatchObject({ username: 'mirror' });
  expect(await shell.run('clusters test north')).toMatchObject({ code: 0 });
  expect(await shell.run('clusters remove north --yes')).toMatchObject({ code: 0 });
  expect(await shell.run('clusters restore north')).toMatchObject({ code: 0, out: 'north is active\n' });
  expect(await shell.run('clusters purge --yes')).toMatchObject({ code: 0, out: 'no archived clusters\n' });
  expect((await shell.run('clusters providers')).out).toContain('confluent: SASL_SSL, PLAIN');
  expect((await shell.run('clusters add --name x --brokers nowhere')).err).toContain('"nowhere" is not an address');
  expect((await shell.run('clusters add --name x --brokers a:1 --provider confluant')).err).toContain(
    'did you mean "confluent"?',
  );
});

test('a cluster that does not answer is not added, unless it is asked for', async () => {
  const shell = await PlayedShell.signedIn();
  shell.plane.clusters.describe = ({ metadata: { name }, spec }) =>
    Promise.resolve({
      name,
      bootstrap: spec.bootstrap,
      clusterId: null,
      controller: null,
      brokers: [],
      topics: null,
      partitions: null,
      error: { code: 'CLUSTER_UNREACHABLE', message: 'No broker answers.', nextStep: 'Look at it.' },
    });
  const refused = await shell.run('clusters add --name east --brokers east.example:9092');
  expect(refused.code).toBe(1);
  expect(refused.out).toContain('CLUSTER_UNREACHABLE: No broker answers.');
  expect(await shell.json('clusters list')).toEqual({ clusters: [] });
  expect(await shell.run('clusters add --name east --brokers east.example:9092 --untested')).toMatchObject({ code: 0 });
  expect(await shell.run('clusters test east')).toMatchObject({ code: 1 });
});

test('at a terminal what is missing is asked for, and asked again until a cluster answers', async () => {
  const shell = await PlayedShell.signedIn();
  const io = typing('east', 'nowhere', '', '', 'east', 'east.example:9092', '', '');
  const added = await shell.run('clusters add', { io });
  expect(added).toMatchObject({ code: 0, err: '' });
  expect(added.out).toContain('"nowhere" is not an address');
  expect(await shell.json('clusters get east')).toMatchObject({ cluster: { name: 'east' } });
  const picked = await shell.run('clusters get', { io: typing('2', '1') });
  expect(picked.out).toContain('There is no cluster "2"');
  expect(picked.code).toBe(0);
});

const LINK = `apiVersion: lockstep/v1
kind: Cluster
metadata: { name: east }
spec: { bootstrap: ['east.example:9092'] }
---
apiVersion: lockstep/v1
kind: Cluster
metadata: { name: west }
spec: { bootstrap: ['west.example:9092'] }
---
apiVersion: lockstep/v1
kind: Mirror
metadata: { name: link }
spec: { source: east, target: west, topics: [{ match: orders }], sync: { groups: { match: ['/.*/'] } } }
`;

test('the documents of files become the clusters and jobs of a server', async () => {
  const shell = await PlayedShell.signedIn();
  shell.disk.writeText('link.yaml', LINK);
  expect(await shell.run('clusters add -f link.yaml')).toMatchObject({ code: 0 });
  expect(await shell.run('jobs add -f link.yaml --started')).toMatchObject({ code: 0 });
  const { job } = await shell.json<{ job: { desired: string; spec: unknown } }>('jobs get link');
  expect(job.desired).toBe('started');
  expect(job.spec).toMatchObject({ sync: { groups: { match: ['/.*/'] } } });
  shell.disk.writeText('link.yaml', LINK.replace('match: orders', 'match: payments'));
  expect(await shell.run('jobs edit link -f link.yaml')).toMatchObject({ code: 0 });
  expect((await shell.run('jobs mappings link')).out).toBe('{"match":"payments"}\n');
  shell.disk.writeText('link.yaml', LINK.replace('kind: Mirror', 'kind: Mirrour'));
  expect((await shell.run('jobs add -f link.yaml')).err).toContain('did you mean "Mirror"?');
  shell.disk.writeText('link.yaml', 'a: [');
  expect(await shell.run('jobs add -f link.yaml')).toMatchObject({ code: 2 });
});

test('reg-M-164: topics are named by flags: by name, with a star, as expressions with captures and new names', async () => {
  const shell = await withClusters();
  const rules = ['orders', 'user.*', '/^pay-(.*)$/=backup-$1', 'ledger=dr.ledger'];
  await shell.json([
    'jobs',
    'add',
    '--name',
    'all',
    '--source',
    'east',
    '--target',
    'west',
    '--exclude',
    'user.test',
    '--topic',
    ...rules,
  ]);
  const { topics } = await shell.json<{ topics: unknown[] }>('jobs mappings all');
  expect(topics).toEqual([
    { match: 'orders' },
    { match: '/^user\\..*$/' },
    { match: '/^pay-(.*)$/', to: 'backup-$1' },
    { match: 'ledger', to: 'dr.ledger' },
    { exclude: 'user.test' },
  ]);
  expect(await shell.run('jobs set-mappings all --topic orders')).toMatchObject({
    code: 0,
    out: '{"match":"orders"}\n',
  });
  const wrong = await shell.run('jobs add --name x --source esat --target west --topic orders');
  expect(wrong.code).not.toBe(0);
  expect((await shell.run('jobs add --name x --source east --target west --topic a --offsets identcal')).err).toContain(
    'did you mean "identical"?',
  );
});

test('M-164: at a terminal source, target and topics are picked from what there is', async () => {
  const shell = await withClusters();
  const added = await shell.run('jobs add', { io: typing('orders', 'east', '1', 'orders user.*') });
  expect(added).toMatchObject({ code: 0, err: '' });
  expect(await shell.json('jobs get orders')).toMatchObject({ job: { source: 'east', target: 'west' } });
});

test('M-165: jobs are started, paused, stopped, restarted, copied and deleted', async () => {
  const shell = await withJob();
  const desired = async () => (await shell.json<{ job: { desired: string } }>('jobs get orders')).job.desired;
  for (const [verb, wanted] of [
    ['start', 'started'],
    ['pause', 'paused'],
    ['resume', 'started'],
    ['restart', 'started'],
    ['stop', 'stopped'],
  ] as const) {
    expect(await shell.run(`jobs ${verb} orders`)).toMatchObject({ code: 0 });
    expect(await desired()).toBe(wanted);
  }
  expect(await shell.run('jobs start', { io: typing('1') })).toMatchObject({ code: 0 });
  await shell.json('jobs clone orders orders-2');
  expect((await shell.run('jobs start-all')).out).toBe('1 done: orders-2\n');
  expect((await shell.run('jobs restart-all --yes')).code).toBe(0);
  expect((await shell.run('jobs stop-all --yes')).out).toContain('2 done: ');
  expect(await shell.run('jobs delete orders', { io: typing('no') })).toMatchObject({ code: 2 });
  expect(await shell.run('jobs delete orders --yes')).toMatchObject({ code: 0 });
  expect(await shell.run('jobs get orders')).toMatchObject({ code: 1 });
  expect((await shell.run('jobs list --wanted stoped')).err).toContain('did you mean "stopped"?');
});

test('an edit does not overwrite what somebody else has changed meanwhile', async () => {
  const shell = await withJob();
  let hasChanged = false;
  const between = {
    ...shell.web,
    send: async (request: Parameters<typeof shell.web.send>[0]) => {
      if (request.method === 'PUT' && !hasChanged) {
        hasChanged = true;
        await shell.json('jobs edit orders --topic payments');
      }
      return shell.web.send(request);
    },
  };
  const late = await shell.run('jobs edit orders --topic ledger', { web: between });
  expect(late.code).toBe(1);
  expect(late.err).toContain('RESOURCE_CHANGED');
  expect((await shell.run('jobs mappings orders')).out).toBe('{"match":"payments"}\n');
});

test('M-163, M-166, M-168: status, lag, gaps and health are what was measured', async () => {
  const shell = await withJob();
  const { job } = await shell.json<{ job: { id: string } }>('jobs get orders');
  await shell.run('jobs start orders');
  shell.plane.runner.play(job.id, {
    state: 'running',
    failedReason: null,
    status: playedStatus({ incident: playedIncident(), state: 'stopped' }),
    since: 0,
  });
  expect((await shell.run('jobs list')).out).toMatch(/orders +running +east +west +10 +1/);
  const status = await shell.run('jobs status orders');
  expect(status.code).toBe(5);
  expect(status.out).toContain('SHARD_RETENTION_LOSS orders/0 offsets 90 to 95');
  expect(await shell.run('jobs gaps orders')).toMatchObject({ code: 5 });
  expect((await shell.run('jobs lag orders')).out).toContain('10 records');
  const totals = (await shell.run('jobs status metrics orders')).out;
  expect(totals).toMatch(/records copied +90\n/);
  expect(totals).toMatch(/stands out +many errors \(not known: source stands still, target stands still\)\n/);
  expect(totals).toMatch(/severity +high\n/);
  expect((await shell.run('jobs progress orders')).out).toMatch(/orders\/0 +orders/);
  const full = await shell.run('jobs status full orders --json');
  expect(full.code).toBe(5);
  expect(Object.keys(JSON.parse(full.out) as object).toSorted()).toEqual([
    'gaps',
    'metrics',
    'progress',
    'resumePoints',
    'status',
  ]);
  expect(await shell.run('jobs healthcheck')).toMatchObject({ code: 0 });
  expect(await shell.run('jobs healthcheck orders')).toMatchObject({ code: 0 });
  expect(await shell.run('jobs topic-health orders')).toMatchObject({ code: 0 });
  expect(await shell.run('jobs history orders --range 7d')).toMatchObject({ code: 0 });
  expect((await shell.run('jobs history orders --range 8d')).err).toContain('--range must be 2h, 24h, 7d, 30d');
  expect(await shell.run('incidents list --open')).toMatchObject({ code: 0 });
});

test('M-104 … M-109: where a mirror stands is asked of both clusters, kept, and judged', async () => {
  const shell = await withJob();
  const partition = { partition: 0, leader: 1, leaderEpoch: 1, replicas: [1], inSyncReplicas: [1], logStart: 0 };
  const topic = (end: number) => ({
    name: 'orders',
    topicId: null,
    isInternal: false,
    configs: null,
    partitions: [{ ...partition, stableOffset: end, highWatermark: end }],
  });
  shell.plane.clusters.topicsByCluster = { east: [topic(100)], west: [topic(90)] };
  expect((await shell.run('jobs state orders')).out).toMatch(/orders\/0 +orders +\S+ +100 +90/);
  expect(await shell.run('jobs state orders --period yesterday')).toMatchObject({ code: 0 });
  expect((await shell.run('jobs state orders --period yesteday')).err).toContain('did you mean "yesterday"?');
  expect((await shell.run('jobs resume-points orders')).out).toContain('none were calculated');
  expect((await shell.run('jobs resume-points orders --calculate')).out).toMatch(/orders\/0/);
  expect((await shell.run('jobs resume-points orders')).out).toContain('resume points of ');
  const unsafe = await shell.run('jobs validate orders');
  expect(unsafe.code).toBe(5);
  expect(unsafe.out).toMatch(/safe to move over +no/);
  const reason = ['jobs', 'checkpoint', 'orders', '--type', 'pre_migration', '--reason', 'new hall'];
  const { checkpoint } = await shell.json<{ checkpoint: { id: string } }>(reason);
  expect((await shell.run('jobs checkpoints orders')).out).toContain('new hall');
  expect((await shell.run(`jobs checkpoints orders ${checkpoint.id}`)).out).toMatch(/orders\/0/);
  expect(await shell.run('jobs force-restart orders')).toMatchObject({ code: 0 });
  shell.plane.clusters.troubles.set('west', {
    code: 'CLUSTER_UNREACHABLE',
    message: 'No broker answers.',
    nextStep: null,
  });
  expect(await shell.run('jobs healthcheck')).toMatchObject({ code: 5 });
  expect((await shell.run('jobs force-restart orders')).err).toContain('CLUSTER_UNREACHABLE');
});

test('hostile names move nothing on a terminal', async () => {
  const shell = await withClusters();
  const name = 'evil\u001B[2J\u202Eorders';
  shell.plane.clusters.topicsByCluster = {
    east: [{ name, topicId: null, isInternal: false, partitions: [], configs: null }],
  };
  for (const line of ['topics list --cluster east', 'topics list --cluster east --json']) {
    const { code, out } = await shell.run(line);
    expect(code).toBe(0);
    expect(out).toContain('orders');
    expect(out).not.toContain('\u001B');
    expect(out).not.toContain('\u202E');
  }
  expect((await shell.run('topics get evil --cluster east')).err).not.toContain('\u001B');
});

test('inventory, audit log and compliance reports are shown and exported', async () => {
  const shell = await withJob();
  expect(await shell.run('inventory take orders')).toMatchObject({ code: 0 });
  const { snapshots } = await shell.json<{ snapshots: { id: number; side: string }[] }>(
    'inventory list orders --side source',
  );
  const [first] = snapshots;
  expect(first?.side).toBe('source');
  await shell.run('inventory take orders');
  const { snapshots: more } = await shell.json<{ snapshots: { id: number }[] }>('inventory list orders --side source');
  expect(more).toHaveLength(2);
  expect((await shell.run(`inventory diff ${more[1]?.id} ${more[0]?.id}`)).out).toBe('no differences\n');
  expect(await shell.run(`inventory partitions ${first?.id} --topic orders`)).toMatchObject({ code: 0 });
  expect(await shell.run(`inventory offsets ${first?.id} --group billing`)).toMatchObject({ code: 0 });
  expect((await shell.run('inventory full orders')).out).toContain('billing');
  expect((await shell.run(`inventory groups ${first?.id}`)).out).toContain('billing');
  expect(await shell.run(`inventory topics ${first?.id}`)).toMatchObject({ code: 0 });
  expect(await shell.run(`inventory get ${first?.id}`)).toMatchObject({ code: 0 });
  expect(await shell.run('inventory get seven')).toMatchObject({ code: 2 });

  const { entries } = await shell.json<{ entries: { action: string; actor: string }[] }>(
    'audit list --action job --from 24h',
  );
  expect(entries.map(({ action }) => action)).toContain('job.create');
  expect(entries.every(({ actor }) => actor === 'admin')).toBe(true);
  expect((await shell.run('audit get 0')).out).toMatch(/action +\S+/);
  expect((await shell.run('audit checkpoint')).code).toBe(1);
  shell.plane.audit.signedSize = 5;
  expect(await shell.run('audit checkpoint')).toMatchObject({ code: 0, out: 'played.log\n5\n' });
  expect((await shell.run('audit proof 3')).out).toBe('played proof of 3\n');
  expect(JSON.parse((await shell.run('audit export --format json --action job')).out)).toHaveLength(2);
  const csv = await shell.run('audit export --action job');
  expect(csv.out.split('\n')[0]).toContain('seq');
  expect(await shell.run('audit export --out audit.csv')).toMatchObject({ code: 0 });
  expect(shell.disk.readText('audit.csv')).toContain('job.create');
  expect(await shell.run('audit export --out audit.csv')).toMatchObject({ code: 2 });
  expect(await shell.run('audit export --action job --bundle evidence.zip')).toMatchObject({ code: 0 });
  expect(shell.disk.readText('evidence.zip')).toBe('played bundle of 2\n');
  expect(await shell.run('audit export --bundle more.zip --format json')).toMatchObject({ code: 2 });
  expect(await shell.run('audit erase 127.0.0.1')).toMatchObject({ code: 2 }); // nobody is there to confirm it
  expect(await shell.run('audit erase 127.0.0.1 --yes')).toMatchObject({ code: 0, out: '1 erased\n' });
  shell.plane.audit.bundleMax = 1;
  expect(await shell.run('audit export --bundle more.zip')).toMatchObject({ code: 2 });
  expect(await shell.run('audit list --from yesterday')).toMatchObject({ code: 2 });

  expect((await shell.run('compliance generate daily')).out).toContain(',');
  const { reports } = await shell.json<{ reports: { id: string }[] }>('compliance list');
  expect(reports).toHaveLength(1);
  expect((await shell.run(`compliance get ${reports[0]?.id}`)).out).toContain('health figure');
  const [report] = reports;
  expect((await shell.run(`compliance get ${report?.id} --format html`)).out).toContain('<html');
  expect(await shell.run(`compliance get ${report?.id} --format csv --out own.csv`)).toMatchObject({ code: 0 });
  const signed = await shell.run(`compliance get ${report?.id} --format signed`);
  expect(JSON.parse(signed.out)).toMatchObject({ report: { period: 'daily' } });
  expect(await shell.run('notices list --level warning')).toMatchObject({ code: 0, out: 'no notices\n' });
  expect(await shell.run('certificates expiry')).toMatchObject({ code: 0 });
  expect((await shell.run('compliance generate dayly')).err).toContain('did you mean "daily"?');
});

test('reg-M-169: options of a server are read, set, taken back, replaced, imported and exported', async () => {
  const shell = await PlayedShell.signedIn();
  expect((await shell.run('config get logging.level')).out).toMatch(/value +info/);
  expect((await shell.run('config set logging.level debug')).out).toBe('logging.level: debug; holds at once\n');
  expect(await shell.json('config get logging.level')).toMatchObject({ value: 'debug', source: 'stored' });
  expect((await shell.run('config get')).out).toMatch(/logging\.level +debug +stored/);
  expect(await shell.run('config edit compliance schedule.runHour 4')).toMatchObject({ code: 0 });
  const wizard = await shell.run('config edit compliance', { io: typing('', '25', '5') });
  expect(wizard.out).toContain('compliance.schedule.runHour must be');
  expect(await shell.json('config get compliance.schedule.runHour')).toMatchObject({ value: 5 });
  expect((await shell.run('config export')).out).toContain('level: debug');
  expect(await shell.run('config set logging.level --default')).toMatchObject({ code: 0 });
  shell.disk.writeText('all.yaml', 'logging: { level: warn }');
  expect(await shell.run('config save all.yaml')).toMatchObject({ code: 2 });
  expect(await shell.run('config save all.yaml --yes')).toMatchObject({ code: 0 });
  expect(await shell.json('config get compliance.schedule.runHour')).toMatchObject({ source: 'default' });
  shell.disk.writeText('some.yaml', 'compliance: { schedule: { runHour: 6 } }');
  expect(await shell.run('config import some.yaml')).toMatchObject({ code: 0 });
  expect(await shell.json('config get logging.level')).toMatchObject({ value: 'warn' });
  shell.disk.writeText('bad.yaml', 'compliance: { schedule: { runHour: 99 } }');
  expect(await shell.run('config import bad.yaml')).toMatchObject({ code: 2 });
  // A file that is named goes first, and so does one that LOCKSTEP_CONFIG names.
  expect((await shell.run('config get logging.level -f some.yaml')).out).toBe('info\n');
  shell.environment['LOCKSTEP_CONFIG'] = 'all.yaml';
  expect((await shell.run('config get logging.level')).out).toBe('warn\n');
  expect((await shell.run('config get loging.level')).err).toContain('did you mean "logging.level"?');
});

test('acc-M-171: what replication is told in kaf-mirror is refused with the reason, and the interval is a flag of each job', async () => {
  const shell = await withJob();
  for (const [name, why] of [
    ['batch-size', 'batches keep the size'],
    ['batch_size', 'batches keep the size'],
    ['compression', 'batches keep the compression'],
    ['parallelism', 'partitions are copied side by side'],
    ['discovery-interval', 'how often new topics are looked for is said by each job'],
  ]) {
    const refused = await shell.run(`config edit replication ${name} 5`);
    expect(refused, name).toMatchObject({ code: 2, out: '', err: expect.stringContaining(`has no equal: ${why}`) });
  }
  expect((await shell.run('config edit replication')).err).toContain('discovery-interval: how often new topics');
  const { err } = await shell.run('config edit replication discovery-interval 5m');
  const advice = /"lockstep (jobs edit NAME [^"]+)"/.exec(err)?.[1] ?? '';
  expect(await shell.run(advice.replace('NAME', 'orders'))).toMatchObject({ code: 0 });
  expect(await shell.json('jobs get orders')).toMatchObject({ job: { spec: { refreshMs: 300_000 } } });
  expect(await shell.run('jobs edit orders --refresh-ms 5m')).toMatchObject({ code: 2 });
});

test('M-170: a group of a section is asked for as the whole of it, and a mode is refused with the reason', async () => {
  const shell = await PlayedShell.signedIn();
  const origins = await shell.run('config edit server cors', { io: typing('https://ops.example') });
  expect(origins.out).toContain('server.cors.allowedOrigins: ["https://ops.example"]; holds at once');
  expect(origins.out).not.toContain('server.host');
  const all = await shell.run('config edit server manage', { io: typing('127.0.0.3') });
  expect(all.out).toContain('server.host: 127.0.0.3; holds after a restart');
  expect((await shell.run('config edit server mode development')).err).toContain('has no equal: there is one mode');
});

test('secrets are set and never shown', async () => {
  const shell = await PlayedShell.signedIn();
  const set = await shell.run('secrets set west-password --value-stdin', { input: 'hunter2-and-more\n' });
  expect(set).toMatchObject({ code: 0, out: 'west-password is set, version 1\n' });
  expect(await shell.run('secrets set west-password', { io: typing('other') })).toMatchObject({ code: 0 });
  for (const line of ['secrets list', 'secrets list --json']) {
    const { out } = await shell.run(line);
    expect(out).toContain('west-password');
    expect(out).not.toContain('hunter2');
  }
  expect(await shell.run('secrets rotate')).toMatchObject({ code: 0 });
  expect(await shell.run('secrets remove west-password')).toMatchObject({ code: 2 });
  expect(await shell.run('secrets remove west-password --yes')).toMatchObject({ code: 0 });
});

test('backups are taken, verified, downloaded, asked to be restored, and deleted', async () => {
  const shell = await PlayedShell.signedIn('admin', { hasBackups: true });
  const { backup } = await shell.json<{ backup: { name: string } }>('backups take');
  expect((await shell.run('backups list')).out).toContain(backup.name);
  expect((await shell.run(`backups verify ${backup.name}`)).out).toContain('It is whole and unaltered.');
  expect(await shell.run(`backups download ${backup.name} --out own.backup`)).toMatchObject({ code: 0 });
  expect(shell.disk.secrets.has('own.backup')).toBe(true);
  expect(await shell.run(`backups restore ${backup.name}`)).toMatchObject({ code: 2 });
  expect(await shell.run(`backups restore ${backup.name} --yes`)).toMatchObject({ code: 0 });
  expect((await shell.run('backups list')).out).toContain('is restored at the next start');
  expect(await shell.run('backups cancel-restore')).toMatchObject({ code: 0 });
  expect(await shell.run(`backups remove ${backup.name} --yes`)).toMatchObject({ code: 0 });
  expect(await shell.run('backups verify yesterday')).toMatchObject({ code: 2 });
});

test('a topic is shown as its cluster would have it, and created when somebody says yes', async () => {
  const shell = await PlayedShell.signedIn();
  await shell.json('clusters add --name east --brokers a:9092 --untested');
  const line =
    'topics create orders --partitions 6 --replication-factor 3 --setting retention.ms=1000 min.insync.replicas=2';
  const planned = await shell.run(`${line} --dry-run`);
  expect(planned).toMatchObject({ code: 0 });
  expect(planned.out).toMatch(/retention\.ms +1000\n/);
  expect(planned.out).toMatch(/cleanup\.policy +delete\n/);
  expect(await shell.run(line)).toMatchObject({ code: 2 });
  expect(shell.plane.clusters.created).toEqual([]);
  expect(await shell.json(`${line} --yes`)).toMatchObject({
    cluster: 'east',
    topic: { name: 'orders', partitions: 6, replicationFactor: 3 },
  });
  expect(shell.plane.clusters.created).toEqual(['east orders']);
  expect((await shell.run('topics create orders --yes')).err).toContain('--partitions is needed');
  expect(await shell.run('topics create orders --partitions 1 --setting retention.ms --yes')).toMatchObject({
    code: 2,
  });
  expect(await shell.run('topics create __orders --partitions 1 --yes')).toMatchObject({ code: 2 });
});

test('who may not is told so with exit code 4', async () => {
  const shell = await PlayedShell.signedIn('monitoring');
  expect(await shell.run('users list')).toMatchObject({ code: 4, out: '' });
  expect((await shell.run('jobs stop-all --yes')).err).toContain('ACCESS_DENIED');
  expect(await shell.run('jobs list')).toMatchObject({ code: 0 });
});

test('versions of command and server are shown without signing in', async () => {
  const shell = await PlayedShell.start();
  const shown = await shell.run('version --server http://127.0.0.1:8080');
  expect(shown).toMatchObject({ code: 0 });
  expect(shown.out).toContain('1.2.3');
  expect(shown.out).toContain('0.0.0');
  expect(await shell.run('sessions list --server http://127.0.0.1:8080')).toMatchObject({ code: 4 });
});
