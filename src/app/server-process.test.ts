/** A server in this process, on a directory of its own: what happens around its start and its end. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import type { OptionKey } from '#contract/options.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { temporaryDirectory } from '#testing/supervisor.ts';
import { createAuthority, createCertificate } from '#testing/pki.ts';
import { systemHost } from '#util/host.ts';
import type { ProcessEvent } from './announcer.ts';
import { runServer } from './server-process.ts';
