import type { LaunchOptions } from 'puppeteer-core';

export function findFirefox(): string | undefined;
export function firefoxOptions(env?: NodeJS.ProcessEnv): LaunchOptions;
