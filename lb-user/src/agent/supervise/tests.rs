use super::*;

#[tokio::test]
async fn a_panic_is_an_error_and_what_comes_after_it_is_done() {
    let part = async {
        tokio::task::yield_now().await;
        if true {
            panic!("on purpose");
        }
        Ok(1)
    };
    let error = caught(part).await.unwrap_err();
    assert_eq!(error.to_string(), "the agent panicked");
    assert_eq!(caught(async { Ok(1) }).await.unwrap(), 1);
}
