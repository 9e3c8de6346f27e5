/** Every command there is: what the program, its completion and docs/cli.md are made from. */
import { listClusters } from './commands/clusters/list.ts';
import { checkConfig } from './commands/config/check.ts';
import { configure } from './commands/config/configure.ts';
import { editConfig } from './commands/config/edit.ts';
import { getConfig } from './commands/config/get.ts';
import { exportConfig, importConfig, saveConfig } from './commands/config/of-server.ts';
import { setConfig } from './commands/config/set.ts';
import { generateDocs } from './commands/docs.ts';
import { doctor } from './commands/doctor.ts';
import { configureClient } from './commands/tls/configure-client.ts';
import { generateCerts } from './commands/tls/generate-certs.ts';
import { importCert } from './commands/tls/import-cert.ts';
import { verifyTls } from './commands/tls/verify.ts';
import { ledger } from './commands/ledger.ts';
import { completion } from './commands/completion.ts';
import { dashboard } from './commands/dashboard.ts';
import { drill } from './commands/drill.ts';
import { failback } from './commands/failback.ts';
import { failover } from './commands/failover.ts';
import { verifyLogEntry } from './commands/log/entry.ts';
import { verifyLogReport } from './commands/log/report.ts';
import { verifyAuditLog } from './commands/log/verify.ts';
import { migrateKafMirror } from './commands/migrate/kaf-mirror.ts';
import { migrateMm2 } from './commands/migrate/mm2.ts';
import { migrateStrimzi } from './commands/migrate/strimzi.ts';
import { listExpiry, listNotices } from './commands/notices/notices.ts';
import { plan } from './commands/plan.ts';
import { rebuild } from './commands/rebuild.ts';
import { run } from './commands/run.ts';
import { createTopic } from './commands/topics/create.ts';
import { getTopic } from './commands/topics/get.ts';
import { listTopics } from './commands/topics/list.ts';
import { validate } from './commands/validate.ts';
import { verify } from './commands/verify.ts';
import {
  addStoredUser,
  adoptRestore,
  backUpStore,
  generateStoredToken,
  importKafMirror,
  importStore,
  listStoredUsers,
  repairStore,
  resetAdminPassword,
  resetStoredTokens,
  restoreStore,
  rotateAuditKey,
} from './commands/admin/admin.ts';
import { login } from './commands/account/login.ts';
import {
  addSecondFactor,
  changePassword,
  endSession,
  listSessions,
  logout,
  removeSecondFactor,
  resetToken,
  setUp,
  showVersion,
  whoami,
} from './commands/account/own.ts';
import {
  erasePersonal,
  exportEvents,
  getEvent,
  listEvents,
  logCheckpoint,
  proveEvent,
} from './commands/audit/audit.ts';
import {
  addClusters,
  editCluster,
  getCluster,
  purgeClusters,
  removeCluster,
  restoreCluster,
  testCluster,
} from './commands/clusters/change.ts';
import { listProviders } from './commands/clusters/providers.ts';
import { generateReport, getReport, listReports } from './commands/compliance/reports.ts';
import {
  cancelRestore,
  downloadBackup,
  listBackups,
  removeBackup,
  restoreBackup,
  takeBackup,
  verifyBackup,
} from './commands/backups/backups.ts';
import { listSecrets, removeSecret, rotateSecrets, setSecret } from './commands/secrets/secrets.ts';
import { addContext } from './commands/context/add.ts';
import { removeContext, useContext } from './commands/context/change.ts';
import { listContexts } from './commands/context/list.ts';
import { listIncidents, resolveIncident } from './commands/incidents/incidents.ts';
import {
  diffSnapshots,
  fullInventory,
  getSnapshot,
  listSnapshots,
  snapshotGroups,
  snapshotOffsets,
  snapshotPartitions,
  snapshotTopics,
  takeSnapshots,
} from './commands/inventory/inventory.ts';
import {
  pauseJob,
  restartAllJobs,
  restartJob,
  resumeJob,
  startAllJobs,
  startJob,
  stopAllJobs,
  stopJob,
} from './commands/jobs/actions.ts';
import { addJobs, cloneJob, deleteJob, editJob, getMappings, setMappings } from './commands/jobs/change.ts';
import { getJob, listJobs } from './commands/jobs/list.ts';
import { jobGaps, jobHistory, jobLag, jobProgress, jobStatus, topicHealth } from './commands/jobs/status.ts';
import {
  checkpoints,
  createCheckpoint,
  forceRestart,
  healthcheck,
  mirrorState,
  resumePoints,
  validateMirror,
} from './commands/jobs/state.ts';
import { addRole, editRole, getRole, listRoles, removeRole } from './commands/roles/roles.ts';
import { createToken, listTokens, revokeToken } from './commands/tokens/tokens.ts';
import { addUserCertificate, listUserCertificates, revokeUserCertificate } from './commands/users/certificates.ts';
import {
  addUser,
  disableUser,
  enableUser,
  endUserSessions,
  removeUser,
  resetUserPassword,
  setUserRole,
} from './commands/users/change.ts';
import { getUser, listUsers } from './commands/users/list.ts';
import { processCommands, type Noun } from './process-commands.ts';
import type { CommandNode } from './completion/command-tree.ts';

/** `tree`: the commands of the program that is made of these. */
export function commandTable(tree: () => CommandNode): readonly Noun[] {
  const nouns: readonly Noun[] = [
    {
      name: null,
      description: 'On files, without a server',
      verbs: {
        validate,
        plan,
        run,
        verify,
        'rebuild <topic>': rebuild,
        'ledger <topic>': ledger,
        failover,
        failback,
        drill,
      },
    },
    processCommands,
    {
      name: 'clusters',
      description: 'clusters of files, and those of a server',
      verbs: {
        list: listClusters,
        add: addClusters,
        'get [name]': getCluster,
        'edit [name]': editCluster,
        'remove [name]': removeCluster,
        'restore [name]': restoreCluster,
        purge: purgeClusters,
        'test [name]': testCluster,
        providers: listProviders,
      },
    },
    {
      name: 'topics',
      description: 'the topics of a cluster',
      verbs: { list: listTopics, 'get <name>': getTopic, 'create <name>': createTopic },
    },
    {
      name: 'jobs',
      description: 'the jobs of a server',
      verbs: {
        list: listJobs,
        add: addJobs,
        'get [job]': getJob,
        'edit [job]': editJob,
        'start [job]': startJob,
        'stop [job]': stopJob,
        'pause [job]': pauseJob,
        'resume [job]': resumeJob,
        'restart [job]': restartJob,
        'force-restart [job]': forceRestart,
        'delete [job]': deleteJob,
        'clone <job> <name>': cloneJob,
        'start-all': startAllJobs,
        'stop-all': stopAllJobs,
        'restart-all': restartAllJobs,
        'status [words...]': jobStatus,
        'history [job]': jobHistory,
        'lag [job]': jobLag,
        'progress [job]': jobProgress,
        'gaps [job]': jobGaps,
        'state [job]': mirrorState,
        'resume-points [job]': resumePoints,
        'validate [job]': validateMirror,
        'checkpoint [job]': createCheckpoint,
        'checkpoints [job] [checkpoint]': checkpoints,
        'healthcheck [job]': healthcheck,
        'topic-health [job]': topicHealth,
        'mappings [job]': getMappings,
        'set-mappings [job]': setMappings,
      },
    },
    { name: null, description: 'Watching a server', verbs: { dashboard } },
    {
      name: 'incidents',
      description: 'incidents of jobs',
      verbs: { 'list [job]': listIncidents, 'resolve <job> <incident>': resolveIncident },
    },
    {
      name: 'inventory',
      description: 'what was on the clusters of a job, and what became of it',
      verbs: {
        'list [job]': listSnapshots,
        'take [job]': takeSnapshots,
        'get <snapshot>': getSnapshot,
        'full [job]': fullInventory,
        'partitions <snapshot>': snapshotPartitions,
        'offsets <snapshot>': snapshotOffsets,
        'topics <snapshot>': snapshotTopics,
        'groups <snapshot>': snapshotGroups,
        'diff <snapshot> <other>': diffSnapshots,
      },
    },
    {
      name: 'users',
      description: 'people and service accounts of a server',
      verbs: {
        list: listUsers,
        'get <user>': getUser,
        'add <user>': addUser,
        'set-role <user> <role>': setUserRole,
        'disable <user>': disableUser,
        'enable <user>': enableUser,
        'remove [user]': removeUser,
        'reset-password [user]': resetUserPassword,
        'end-sessions <user>': endUserSessions,
        'change-password': changePassword,
        'reset-token': resetToken,
      },
    },
    {
      name: 'roles',
      description: 'what users may do',
      verbs: {
        list: listRoles,
        'get <role>': getRole,
        'add <role>': addRole,
        'edit <role>': editRole,
        'remove <role>': removeRole,
      },
    },
    {
      name: 'tokens',
      description: 'API tokens, for programs',
      verbs: { list: listTokens, create: createToken, 'revoke <token>': revokeToken },
    },
    {
      name: 'certificates',
      description: 'client certificates that stand for users, and when all certificates end',
      verbs: {
        'list <user>': listUserCertificates,
        'add <user>': addUserCertificate,
        'revoke <certificate>': revokeUserCertificate,
        expiry: listExpiry,
      },
    },
    { name: 'notices', description: 'what a server has noticed', verbs: { list: listNotices } },
    {
      name: 'audit',
      description: 'the audit log, through a server',
      verbs: {
        list: listEvents,
        'get <entry>': getEvent,
        'proof <entry>': proveEvent,
        checkpoint: logCheckpoint,
        export: exportEvents,
        'erase <value>': erasePersonal,
      },
    },
    {
      name: 'compliance',
      description: 'reports about what was',
      verbs: { 'generate <period>': generateReport, list: listReports, 'get <report>': getReport },
    },
    {
      name: 'secrets',
      description: 'secrets that a server keeps',
      verbs: { list: listSecrets, 'set <name>': setSecret, 'remove <name>': removeSecret, rotate: rotateSecrets },
    },
    {
      name: 'backups',
      description: 'backups of the database of a server',
      verbs: {
        list: listBackups,
        take: takeBackup,
        'verify <backup>': verifyBackup,
        'download <backup>': downloadBackup,
        'remove <backup>': removeBackup,
        'restore <backup>': restoreBackup,
        'cancel-restore': cancelRestore,
      },
    },
    {
      name: 'context',
      description: 'the servers that commands talk to',
      verbs: {
        list: listContexts,
        'add <name> <address>': addContext,
        'use <name>': useContext,
        'remove <name>': removeContext,
      },
    },
    {
      name: null,
      description: 'Signing in',
      verbs: {
        'login [user]': login,
        logout,
        whoami,
        'change-password': changePassword,
        'reset-token': resetToken,
        'setup <user>': setUp,
        version: showVersion,
      },
    },
    {
      name: 'sessions',
      description: 'the own sessions',
      verbs: { list: listSessions, 'end <session>': endSession },
    },
    {
      name: 'second-factor',
      description: 'the second factor of the own account',
      verbs: { add: addSecondFactor, remove: removeSecondFactor },
    },
    {
      name: 'config',
      description: 'the options of the processes: file, environment, defaults, and of a server',
      verbs: {
        check: checkConfig,
        'get [key]': getConfig,
        'set <key> [value...]': setConfig,
        'edit <section> [words...]': editConfig,
        configure,
        'save <file>': saveConfig,
        'import <file>': importConfig,
        export: exportConfig,
      },
    },
    {
      name: 'tls',
      description: 'certificates of servers and clients',
      verbs: {
        'generate-certs': generateCerts,
        'import-cert': importCert,
        'configure-client': configureClient,
        'verify <address>': verifyTls,
      },
    },
    {
      name: 'log',
      description: 'verify the audit log, offline',
      verbs: { 'verify <directory>': verifyAuditLog, 'entry <file>': verifyLogEntry, 'report <file>': verifyLogReport },
    },
    {
      name: 'migrate',
      description: 'turn the files of another mirror into resources',
      verbs: {
        'mm2 <file...>': migrateMm2,
        'strimzi <file...>': migrateStrimzi,
        'kaf-mirror <file...>': migrateKafMirror,
      },
    },
    {
      name: 'admin',
      description: 'on the database itself, for when nobody can sign in or no server can start',
      verbs: {
        repair: repairStore,
        'reset-admin-password <user>': resetAdminPassword,
        'users list': listStoredUsers,
        'users add <user>': addStoredUser,
        'tokens generate <user>': generateStoredToken,
        'tokens reset <user>': resetStoredTokens,
        'backup database <file>': backUpStore,
        'restore database <file>': restoreStore,
        'import database <file>': importStore,
        'import kaf-mirror <file...>': importKafMirror,
        'adopt-restore': adoptRestore,
        'rotate-audit-key': rotateAuditKey,
      },
    },
    {
      name: 'docs',
      description: 'this description',
      verbs: { generate: generateDocs(() => nouns) },
    },
    { name: null, description: 'Around it', verbs: { doctor, 'completion <shell>': completion(tree) } },
  ];
  return nouns;
}
