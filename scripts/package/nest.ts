// A service with NestJS, as its command line tool sets it up: CommonJS, decorators, HTTP, hooks that run at a signal.
import 'reflect-metadata';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type Backend, closeOnSignals, connect, type Grant, status, synchronized, withLeadership } from 'conclave';
import { firstValueFrom } from 'rxjs';

const BACKEND = 'BACKEND';
const tell = (message: string): void => void process.send?.(message);

@Injectable()
class Reports implements OnApplicationBootstrap, OnApplicationShutdown {
  @Inject(BACKEND) private readonly backend!: Backend;

  onApplicationBootstrap(): void {
    withLeadership(this.backend, 'reports', (grant) => this.#write(grant)).subscribe();
  }

  /** A job that is in progress when the process is told to end, and for some time after. */
  async #write({ draining, signal }: Grant): Promise<void> {
    tell('works');
    await once(draining, 'abort');
    await setTimeout(300);
    tell(signal.aborted ? 'cut off' : 'worked');
  }

  onApplicationShutdown(signal: string): void {
    tell(`hook ${signal}`);
  }
}

@Controller()
class Health {
  @Inject(BACKEND) private readonly backend!: Backend;

  // The route that the decorator below has left at the method is found at the one that stands in its place.
  @synchronized(({ backend }: Health) => backend, '{method}')
  @Get('ready')
  async ready(): Promise<string> {
    return (await firstValueFrom(status(this.backend))).state;
  }
}

const backend = { provide: BACKEND, useFactory: () => connect(process.env['STORE_URL'] ?? 'memory:') };

@Module({ controllers: [Health], providers: [backend, Reports] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  closeOnSignals(app.get(BACKEND), { drainMs: 20_000 }).subscribe((signal) => tell(`closed on ${signal}`));
  await app.listen(0, '127.0.0.1');
  tell(await app.getUrl());
}
void main();
