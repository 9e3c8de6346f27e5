/** Bodies that say what cannot be guessed from their schemas: shown in openapi.json and to whoever makes requests from it. */
import type { OperationId } from './routes.ts';

const cluster = { name: 'north', bootstrap: ['broker-1.north.example:9092'] };
const newTopic = { name: 'orders', partitions: 6, replicationFactor: 3, configs: { 'retention.ms': '604800000' } };
const job = { name: 'orders', source: 'east', target: 'west', topics: [{ match: 'orders' }] };

export const examples: Readonly<Partial<Record<OperationId, object>>> = {
  createCluster: cluster,
  updateCluster: cluster,
  testCluster: cluster,
  createTopic: newTopic,
  foreseeTopic: newTopic,
  createJob: job,
  updateJob: job,
  setMappings: { topics: job.topics },
  cloneJob: { name: 'orders-copy' },
  createUser: { username: 'ann', role: 'operator', password: 'four-random-words-hyphenated' },
  setUserRole: { role: 'monitoring' },
  createRole: { name: 'on-call', grants: [{ permission: 'jobs:start', resource: { kind: 'job', name: 'orders' } }] },
  createToken: { name: 'ci', scopes: ['jobs:view'], expiresInDays: 30 },
};
