import { describeCopy } from './copy-suite.ts';

describeCopy({ source: '3.9.1', target: '3.9.1' });
