//! SeaORM.

use std::collections::BTreeSet;

use anyhow::Result;
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend,
    EntityTrait, ExprTrait, Schema, Set, Statement, TransactionTrait, sea_query::Expr,
    sqlx::postgres::PgListener,
};
use tokio::time::timeout;

use crate::{
    PATIENCE, POSTGRES,
    heard::{Heard, Tells},
};

mod sold {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sold")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod till {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "till")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub amount: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub struct Shop {
    db: DatabaseConnection,
    heard: Heard,
}

async fn listens(db: DatabaseConnection, tells: Tells) -> Result<()> {
    let mut listener = PgListener::connect_with(db.get_postgres_connection_pool()).await?;
    timeout(PATIENCE, listener.listen("sold")).await??;
    // Who hears nothing for long connects anew.
    loop {
        let notification = timeout(PATIENCE, listener.recv()).await??;
        tells.send_replace(notification.payload().to_owned());
    }
}

impl crate::Shop for Shop {
    async fn open() -> Result<Self> {
        let mut options = ConnectOptions::new(POSTGRES);
        options
            .max_connections(4)
            .connect_timeout(PATIENCE / 2)
            .acquire_timeout(PATIENCE / 2)
            .sqlx_logging(false);
        let db = Database::connect(options).await?;
        let schema = Schema::new(DbBackend::Postgres);
        let tables = [
            schema.create_table_from_entity(sold::Entity),
            schema.create_table_from_entity(till::Entity),
        ];
        for mut table in tables {
            db.execute(table.if_not_exists()).await?;
        }
        if till::Entity::find_by_id(1).one(&db).await?.is_none() {
            let (id, amount) = (Set(1), Set(0));
            let till = till::ActiveModel { id, amount };
            till.insert(&db).await?;
        }
        let pool = db.clone();
        let heard = Heard::from(move |tells| listens(pool.clone(), tells));
        Ok(Shop { db, heard })
    }

    async fn sell(&self, number: i64) -> Result<()> {
        let sale = self.db.begin().await?;
        if sold::Entity::find_by_id(number).one(&sale).await?.is_none() {
            let sold = sold::ActiveModel {
                number: Set(number),
            };
            sold.insert(&sale).await?;
            let amount = Expr::col(till::Column::Amount).add(1);
            let fill = till::Entity::update_many().col_expr(till::Column::Amount, amount);
            fill.exec(&sale).await?;
        }
        let notify = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_notify('sold', $1)",
            [number.to_string().into()],
        );
        sale.execute_raw(notify).await?;
        Ok(sale.commit().await?)
    }

    async fn sold(&self) -> Result<BTreeSet<i64>> {
        let sold = sold::Entity::find().all(&self.db).await?;
        Ok(sold.into_iter().map(|sold| sold.number).collect())
    }

    async fn close(&self) -> Result<()> {
        let notify = "NOTIFY sold, 'closed'";
        self.db.execute_unprepared(notify).await?;
        self.heard.hears("closed").await
    }
}
