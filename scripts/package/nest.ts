// A service with NestJS, as its command line tool sets it up: CommonJS, decorators, hooks that run at a signal.
import 'reflect-metadata';
import { Injectable, Module, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type Backend, connect, leadership } from 'conclave';
import type { Subscription } from 'rxjs';

@Injectable()
class Scheduler implements OnModuleInit, OnApplicationShutdown {
  readonly #backend: Backend = connect('memory:');
  #leads: Subscription | undefined;

  onModuleInit(): void {
    this.#leads = leadership(this.#backend, 'scheduler').subscribe({
      next: (leads) => process.send?.(leads ? 'leads' : 'leads not'),
      complete: () => process.send?.('complete'),
    });
  }

  async onApplicationShutdown(signal?: string): Promise<void> {
    await this.#backend.close();
    process.send?.(`closed at ${signal}, ${this.#leads?.closed}`);
  }
}

@Module({ providers: [Scheduler] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  process.send?.('ready');
}
void main();
